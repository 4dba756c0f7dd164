use super::*;
use crate::{
    Daemon, DaemonState, Destination, DestinationKey, Family, Forwarding, ServiceKey, Timeouts,
};
use std::num::NonZeroU32;

fn web() -> ServiceKey {
    ServiceKey::tcp([192, 168, 0, 10], 80)
}

fn server() -> DestinationKey {
    DestinationKey::new([10, 0, 0, 1], 80)
}

fn refused(request: impl Into<Request>, errno: Errno) -> Error {
    Error::Kernel { request: request.into(), errno, message: None }
}

fn adds_destination() -> Operation {
    Operation::NewDestination {
        service: web(),
        destination: Destination::new(server(), Forwarding::Masquerade, 1),
    }
}

#[test]
fn a_refusal_names_operation_object_and_number() {
    assert_eq!(
        refused(adds_destination(), Errno::ESRCH).to_string(),
        "add destination 10.0.0.1:80 to TCP 192.168.0.10:80: No such process (ESRCH)"
    );
    assert_eq!(
        refused(Request::Services, Errno(200)).to_string(),
        "list the services: Unknown error 200 (os error 200)"
    );
}

#[test]
fn a_missing_scheduler_is_named_with_its_module() {
    let service = Service::new(web(), "mh");
    for operation in
        [Operation::NewService(service.clone()), Operation::SetService(service.clone())]
    {
        let error = refused(operation, Errno::ENOENT);
        assert_eq!(error.reason(), "SchedulerMissing");
        assert!(error.to_string().contains("load the module ip_vs_mh"), "{error}");
        assert!(!error.is_not_found());
    }
    let sip = Service { pe_name: Some("sip".to_owned()), ..service };
    let error = refused(Operation::NewService(sip), Errno::ENOENT);
    assert_eq!(error.reason(), "PersistenceEngineMissing");
    let error = error.to_string();
    assert!(error.contains("ip_vs_mh") && error.contains("ip_vs_pe_sip"), "{error}");
}

#[test]
fn no_entry_of_a_destination_is_not_found() {
    let error =
        refused(Operation::DelDestination { service: web(), destination: server() }, Errno::ENOENT);
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "delete destination 10.0.0.1:80 of TCP 192.168.0.10:80: No such file or directory (ENOENT)"
    );
}

#[test]
fn each_number_has_its_reason() {
    for (errno, reason) in [
        (Errno::EPERM, "NoNetAdmin"),
        (Errno::ESRCH, "NotFound"),
        (Errno::EEXIST, "AlreadyExists"),
        (Errno::EINVAL, "Refused"),
        (Errno::ERANGE, "OutOfRange"),
        (Errno::ENODEV, "InterfaceMissing"),
        (Errno::EAFNOSUPPORT, "FamilyUnsupported"),
        (Errno::ENOMEM, "OutOfMemory"),
        (Errno::EOPNOTSUPP, "Unsupported"),
        (Errno::EBUSY, "Busy"),
        (Errno(5), "KernelError"),
    ] {
        assert_eq!(refused(adds_destination(), errno).reason(), reason);
    }
    assert!(refused(adds_destination(), Errno::EEXIST).is_exists());
    assert!(refused(Request::Services, Errno::EPERM).to_string().contains("CAP_NET_ADMIN"));
}

#[test]
fn only_unanswered_changes_are_uncertain() {
    let request = || Request::from(Operation::ZeroAll);
    assert!(Error::NoReply { request: request() }.is_uncertain());
    assert!(Error::Overrun { request: request() }.is_uncertain());
    assert!(!Error::NotSent { request: request() }.is_uncertain());
    assert!(!refused(Operation::ZeroAll, Errno::EPERM).is_uncertain());
}

#[test]
fn operations_read_as_sentences() {
    let daemon = Daemon::new(DaemonState::Master, "eth0", 1);
    let six = ServiceKey::udp([0x2001u16, 0xdb8, 0, 0, 0, 0, 0, 1], 53);
    let mark = |family| ServiceKey::mark(family, NonZeroU32::new(7).expect("not zero"));
    for (operation, text) in [
        (Operation::NewService(Service::new(six, "rr")), "add service UDP [2001:db8::1]:53"),
        (Operation::DelService(mark(Family::V4)), "delete service FWM 7"),
        (Operation::ZeroService(mark(Family::V6)), "zero the counters of FWM 7 IPv6"),
        (Operation::NewDaemon(daemon), "start the master sync daemon on eth0"),
        (Operation::DelDaemon(DaemonState::Backup), "stop the backup sync daemon"),
        (Operation::SetTimeouts(Timeouts::default()), "set the connection timeouts"),
    ] {
        assert_eq!(operation.to_string(), text);
    }
}
