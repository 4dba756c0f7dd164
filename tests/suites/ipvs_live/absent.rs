//! What is not there: the right to ask, IPVS itself, a module.

use super::{director, web};
use lvs_ipvs::{Client, Errno, Error, Operation, Service};
use lvs_tests::bed::{Guest, in_guest};
use nix::unistd::{Uid, seteuid};

#[test]
fn without_the_capability_everything_but_opening_is_refused() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let (node, mut before) = director();
        before.execute(Operation::NewService(Service::new(web(), "rr")))?;
        node.run(|| -> anyhow::Result<()> {
            seteuid(Uid::from_raw(65534))?;
            let mut client = Client::open()?;
            // A socket that root opened gives no more rights than its user has.
            for client in [&mut client, &mut before] {
                let change = client.execute(Operation::DelService(web())).expect_err("refused");
                let read = client.services().expect_err("refused");
                for error in [change, read] {
                    assert_eq!((error.errno(), error.reason()), (Some(Errno::EPERM), "NoNetAdmin"));
                    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
                }
            }
            seteuid(Uid::from_raw(0))?;
            Ok(())
        })?;
        assert_eq!(before.services()?.len(), 1);
        Ok(())
    });
}

#[test]
fn a_kernel_without_ipvs_is_named_on_opening() {
    in_guest(Guest::debian().without_module("ip_vs"), || {
        let error = Client::open().map(drop).expect_err("no IPVS");
        assert!(matches!(error, Error::NoIpvs));
        assert!(error.to_string().contains("ip_vs"), "{error}");
    });
}

#[test]
fn modules_are_loaded_when_asked_for_and_a_missing_one_is_named() {
    in_guest(Guest::debian().without_module("ip_vs_lblcr"), || {
        let mut client = Client::open().expect("the module ip_vs is loaded");
        let service = |scheduler| Operation::NewService(Service::new(web(), scheduler));
        let error = client.execute(service("lblcr")).expect_err("no module");
        assert_eq!(error.reason(), "SchedulerMissing");
        assert!(error.to_string().contains("ip_vs_lblcr"), "{error}");
        client.execute(service("lblc")).expect("its module is loaded");
    });
}
