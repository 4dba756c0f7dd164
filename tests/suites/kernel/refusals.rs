//! What the kernel refuses, and what the user reads then.

use lvs_agent::kernel::{Kernel, Linux, Scope};
use lvs_agent::state::{Made, NodeState};
use lvs_ipvs::{Forwarding, ServiceKey};
use lvs_tests::bed::{Guest, in_guest};
use nix::unistd::{Uid, seteuid};

use crate::kernel::{
    add, agent, director, held, new_destination, new_service, reasons, server, set, web,
};

#[test]
fn without_net_admin_the_error_says_how_to_get_it() {
    in_guest(Guest::kernel(), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            seteuid(Uid::from_raw(65534)).expect("another user");
            let refused = Linux::open().expect_err("no privilege");
            let ops = [new_service(web(), "rr"), add("eth0", "192.168.0.10/24")];
            let results = kernel.execute(&ops, &mut journal);
            seteuid(Uid::from_raw(0)).expect("root again");
            assert_eq!(refused.reason(), "NoNetAdmin");
            assert!(refused.to_string().contains("NET_ADMIN"), "{refused}");
            assert_eq!(reasons(&results), ["NoNetAdmin", "NoNetAdmin"]);
            assert!(journal.ours().is_empty());
        });
    });
}

#[test]
fn a_kernel_without_ipvs_still_gets_its_addresses_and_the_error_names_the_module() {
    in_guest(Guest::debian().without_module("ip_vs"), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            assert_eq!(kernel.about().expect("about").ipvs, None);
            let ops = [new_service(web(), "rr"), add("lo", "192.168.0.10/32")];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(reasons(&results), ["NoIPVS", "ok"]);
            let error = results[0].as_ref().expect_err("no IPVS");
            assert!(error.is_no_ipvs() && error.to_string().contains("ip_vs"), "{error}");
            let scope = Scope::audit(&NodeState::default(), journal.ours());
            let observed = kernel.observe(&scope).expect("no error");
            assert_eq!(observed.services, None);
            assert!(observed.addresses.contains(&held("lo", "192.168.0.10/32")));
            assert_eq!(journal.ours().len(), 1);
        });
    });
}

#[test]
fn a_missing_scheduler_is_named_with_its_module_and_the_rest_works() {
    in_guest(Guest::debian(), || {
        let node = director();
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let other = ServiceKey::tcp([192, 168, 0, 10], 81);
            let ops = [
                new_service(web(), "twos"),
                new_destination(web(), server(101, Forwarding::DirectRoute, 1)),
                new_service(other, "lblcr"),
                new_destination(other, server(101, Forwarding::DirectRoute, 1)),
            ];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(reasons(&results), ["SchedulerMissing", "Withheld", "ok", "ok"]);
            let message = results[0].as_ref().expect_err("missing").to_string();
            assert!(message.contains("ip_vs_twos"), "{message}");
            assert_eq!(journal.ours(), &[Made::Service(other)].into());
            let about = kernel.about().expect("about");
            assert!(about.release.starts_with("6.1."), "{about:?}");
            assert_eq!(about.ipvs.expect("loaded").version.to_string(), "1.2.1");
        });
    });
}

#[test]
fn refused_addresses_say_why() {
    in_guest(Guest::kernel(), || {
        let node = director().sysctl("net.ipv6.conf.eth0.disable_ipv6", "1");
        node.run(|| {
            let (mut kernel, mut journal) = agent();
            let ops = [
                add("eth7", "192.168.0.10/24"),
                add("eth0", "2001:db8::10/128"),
                set("net/ipv4/conf/all/no_such_thing", "1"),
                add("eth0", "192.168.0.10/24"),
            ];
            let results = kernel.execute(&ops, &mut journal);
            assert_eq!(
                reasons(&results),
                ["NoSuchInterface", "IPv6Disabled", "NoSuchSysctl", "ok"],
                "{results:?}"
            );
            let message = results[0].as_ref().expect_err("no such").to_string();
            assert!(message.contains("eth7") && message.contains("192.168.0.10/24"), "{message}");
            assert_eq!(journal.ours().len(), 1);
        });
    });
}
