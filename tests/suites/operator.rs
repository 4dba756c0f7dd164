//! The operator against a real API server, with its ServiceAccount's rights; the test plays the agents' reports.

#[path = "operator/ready.rs"]
mod ready;
#[path = "operator/relay.rs"]
mod relay;
#[path = "operator/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::{NAMESPACE, program};
use lvs_tests::wait_for;
use relay::Relay;
use serde_json::json;
use world::{Operator, PATIENCE, World, says, version};

fn guest() -> Guest {
    Guest::control_plane().virtual_time().limit(Duration::from_secs(400))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_service_is_programmed_when_its_director_has_read_back_its_newest_slice() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        let operator = Operator::start(world.plane.operator_command());
        wait_for("the group is ready", PATIENCE, || {
            says(world.group_condition("default"), "True/Ready")
        });
        world.service("web", "10.0.0.10", json!({"persistence": {"timeoutSeconds": 300}}));
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 5}));
        world.server("b", "web", json!({"nodeName": "d1", "weight": 10}));
        world.wait_for_placed("web", &["a 10.0.0.101 5", "b 10.0.0.1 10"]);
        let message = world.wait_until("web", "Programmed", "False/Pending");
        assert!(message.contains("node d1"), "{message}");
        world.wait_until("web", "Accepted", "True/Accepted");
        let first = world.slices()["web-0"].clone();
        let owner = first.metadata.owner_references.clone().unwrap_or_default();
        assert_eq!(owner.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["web"]);

        // A report of an older slice is not enough, one of this slice is.
        let old = version(&first) - 1;
        world.report("d1", json!({"programmed": {"resourceVersion": old.to_string()}}));
        sleep(seconds(2));
        world.wait_until("web", "Programmed", "False/Pending");
        world.read_back();
        world.wait_until("web", "Programmed", "True/Programmed");
        world.wait_until("web", "Available", "True/Available");
        assert_eq!(
            world.plane.kubectl(&[
                "get",
                "lvsvs",
                "web",
                "-o",
                "jsonpath={.status.display.realServers}"
            ])?,
            "2/2"
        );

        // An edit of a real server is a new slice version that has to be read back too.
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 7}));
        world.wait_for_placed("web", &["a 10.0.0.101 7", "b 10.0.0.1 10"]);
        world.wait_until("web", "Programmed", "False/Pending");
        world.wait_until("web", "Available", "True/Available");
        world.read_back();
        world.wait_until("web", "Programmed", "True/Programmed");

        // A failure is told with the agent's words, and taken back with it.
        let newest = version(&world.slices()["web-0"]).to_string();
        let failure = json!({"namespace": "default", "virtualService": "web", "role": "Director",
            "reason": "SchedulerMissing", "message": "load the module ip_vs_wlc"});
        let programmed = json!({"resourceVersion": newest});
        world.report(
            "d1",
            json!({"programmed": programmed, "failures": [failure], "failureCount": 1}),
        );
        let message = world.wait_until("web", "Programmed", "False/NotProgrammed");
        assert!(
            message.contains("node d1: SchedulerMissing: load the module ip_vs_wlc"),
            "{message}"
        );
        world.report("d1", json!({"programmed": programmed}));
        world.wait_until("web", "Programmed", "True/Programmed");

        // What somebody else repaired or broke is told by events.
        world.report(
            "d1",
            json!({"programmed": programmed, "drift": {"repairs": 2, "last": "the VIP"}}),
        );
        wait_for("the events", PATIENCE, || {
            let events = world.events();
            let expected = [
                "Programmed VirtualService/web",
                "NotProgrammed VirtualService/web",
                "Available VirtualService/web",
                "Ready DirectorGroup/default",
                "DriftRepaired LVSNode/d1",
            ];
            let missing: Vec<_> =
                expected.into_iter().filter(|e| !events.contains(&(*e).to_owned())).collect();
            if missing.is_empty() { Ok(()) } else { Err((missing, events)) }
        });

        // From here on nothing changes but the time in the reports: nothing is written.
        sleep(seconds(5));
        let before = operator.writes();
        assert!(before.values().sum::<u64>() > 0, "{before:?}");
        for minute in 0..5 {
            sleep(seconds(30));
            world.report(
                "d1",
                json!({"programmed": programmed, "drift": {"repairs": 2, "last": "the VIP"},
                "reportTime": format!("2026-01-01T00:0{minute}:00Z")}),
            );
        }
        assert_eq!(operator.writes(), before, "a steady cluster sees no writes");
        assert!(operator.leads());

        // An agent that falls silent is told; what it programmed stays.
        sleep(seconds(95));
        world.wait_until("web", "Degraded", "True/AgentSilent");
        world.wait_until("web", "Available", "True/Available");
        world.report("d1", json!({"programmed": programmed}));
        world.wait_until("web", "Degraded", "False/AsExpected");

        // What somebody does to a slice by hand is undone.
        let patch = [
            "patch",
            "lvsslice",
            "web-0",
            "--type=json",
            "-p",
            r#"[{"op": "replace", "path": "/spec/realServers/0/weight", "value": 99}, {"op": "remove", "path": "/spec/realServers/1"}]"#,
        ];
        world.plane.kubectl(&patch)?;
        world.wait_for_placed("web", &["a 10.0.0.101 7", "b 10.0.0.1 10"]);
        world.plane.kubectl(&["delete", "lvsslice", "web-0"])?;
        world.wait_for_placed("web", &["a 10.0.0.101 7", "b 10.0.0.1 10"]);

        world.delete("VirtualService", "web");
        wait_for("its slices are gone", PATIENCE, || {
            let slices = world.slices();
            if slices.is_empty() { Ok(()) } else { Err(slices) }
        });
        operator.assert_rights_suffice();
        Ok(())
    });
}

#[test]
fn one_real_servers_change_writes_one_slice_of_many() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        for number in 0..150 {
            let address = format!("10.1.0.{number}");
            world.server(&format!("s{number:03}"), "web", json!({"address": address}));
        }
        world.service("web", "10.0.0.10", json!({}));
        let operator = Operator::start(world.plane.operator_command());
        wait_for("150 real servers in two slices", PATIENCE, || {
            let sizes: Vec<_> =
                world.slices().values().map(|s| s.spec.real_servers.len()).collect();
            if sizes == [100, 50] { Ok(()) } else { Err(sizes) }
        });
        world.read_back();
        world.wait_until("web", "Programmed", "True/Programmed");

        for (step, change) in [
            (
                "weight",
                (|w: &World| w.server("s003", "web", json!({"address": "10.1.0.3", "weight": 9})))
                    as fn(&World),
            ),
            ("removal", |w| w.delete("RealServer", "s077")),
            ("addition", |w| w.server("s999", "web", json!({"address": "10.1.1.1"}))),
        ] {
            let before = world.slices();
            let writes = operator.metric("VirtualServiceSlice apply ok");
            change(&world);
            let changed = wait_for(&format!("a slice shows the {step}"), PATIENCE, || {
                let after = world.slices();
                let changed = after.iter().filter(|(name, slice)| before.get(*name) != Some(slice));
                let changed: Vec<String> = changed.map(|(name, _)| name.clone()).collect();
                if changed.is_empty() { Err("none") } else { Ok(changed) }
            });
            sleep(seconds(2));
            assert_eq!(changed.len(), 1, "{step}: {changed:?}");
            assert_eq!(operator.metric("VirtualServiceSlice apply ok"), writes + 1, "{step}");
        }
        let names: BTreeSet<String> = world.placed("web").into_iter().collect();
        assert_eq!(names.len(), 150);
        assert!(names.contains("s999 10.1.1.1 1") && names.contains("s003 10.1.0.3 9"));
        // The status of a real server says who uses it.
        wait_for("s999 is used by web", PATIENCE, || {
            let server: RealServer =
                world.plane.get("default", "s999").map_err(|e| format!("{e:#}"))?;
            let services = server.status.map(|s| s.virtual_services).unwrap_or_default();
            if services == ["web"] { Ok(()) } else { Err(format!("{services:?}")) }
        });
        operator.assert_rights_suffice();
        Ok(())
    });
}

#[test]
fn what_clashes_is_told_and_disturbs_nobody() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        let operator = Operator::start(world.plane.operator_command());
        world.service("good", "10.0.0.10", json!({}));
        world.server("g", "good", json!({"address": "10.0.0.101"}));
        world.wait_for_placed("good", &["g 10.0.0.101 1"]);
        world.read_back();
        world.wait_until("good", "Programmed", "True/Programmed");
        let good = world.slices()["good-0"].clone();

        world.apply(&json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
            "metadata": {"name": "closed"},
            "spec": {"nodeSelector": {"matchLabels": {"role": "director"}},
                "allowedNamespaces": {"matchLabels": {"tier": "front"}}}}));
        world.apply(&json!({"apiVersion": "kube-lvs.io/v1alpha1", "kind": "DirectorGroup",
            "metadata": {"name": "fenced"},
            "spec": {"nodeSelector": {"matchLabels": {"role": "director"}}, "realServerCIDRs": ["10.7.0.0/16"]}}));
        world.report(
            "d1",
            json!({"addresses": ["10.0.9.9"],
            "programmed": {"resourceVersion": version(&good).to_string()}}),
        );
        for (name, address, extra, reason, told) in [
            ("taken", "10.0.0.10", json!({}), "AddressConflict", "default/good"),
            (
                "nogroup",
                "10.0.0.11",
                json!({"directorGroup": "none"}),
                "NoSuchDirectorGroup",
                "none",
            ),
            (
                "closed",
                "10.0.0.12",
                json!({"directorGroup": "closed"}),
                "NamespaceNotAllowed",
                "namespace default",
            ),
            ("node", "10.0.0.1", json!({}), "AddressOfNode", "node d1"),
            ("reported", "10.0.9.9", json!({}), "AddressOfNode", "node d1"),
        ] {
            world.service(name, address, extra);
            let message = world.wait_until(name, "Accepted", &format!("False/{reason}"));
            assert!(message.contains(told) && message.starts_with("spec."), "{name}: {message}");
            world.wait_until(name, "Programmed", "False/NotAccepted");
        }
        world.service("empty", "10.0.0.13", json!({}));
        world.wait_until("empty", "Resolved", "True/NoRealServers");
        world.wait_until("empty", "Available", "False/NoRealServers");
        world.service("partly", "10.0.0.14", json!({"directorGroup": "fenced"}));
        world.server("inside", "partly", json!({"address": "10.7.0.1"}));
        world.wait_for_placed("partly", &["inside 10.7.0.1 1"]);
        for (name, spec, reason) in [
            ("outside", json!({"address": "10.8.0.1"}), "OutsideRealServerCIDRs"),
            ("ghost", json!({"nodeName": "nowhere"}), "NoSuchNode"),
            ("twin", json!({"address": "10.7.0.1"}), "DuplicateAddress"),
            ("port", json!({"address": "10.7.0.2", "ports": [{"port": 8080}]}), "PortMismatch"),
        ] {
            world.server(name, "partly", spec);
            let message = world.wait_until("partly", "Degraded", &format!("True/{reason}"));
            assert!(message.contains(&format!("RealServer {name}")), "{message}");
            assert_eq!(world.placed("partly"), ["inside 10.7.0.1 1"]);
            world.delete("RealServer", name);
            world.wait_until("partly", "Degraded", "False/AsExpected");
        }
        assert_eq!(world.slices()["good-0"], good, "nobody touched it");
        world.wait_until("good", "Available", "True/Available");

        // The address goes to who waits for it when it is given up.
        world.delete("VirtualService", "good");
        world.wait_until("taken", "Accepted", "True/Accepted");
        // A bad edit keeps what there is; a namespace that may not any more loses it.
        let before = world.slices()["partly-0"].spec.clone();
        world.service("partly", "10.0.0.14", json!({"directorGroup": "none"}));
        world.wait_until("partly", "Accepted", "False/NoSuchDirectorGroup");
        assert_eq!(world.slices()["partly-0"].spec, before);
        world.service("partly", "10.0.0.14", json!({"directorGroup": "closed"}));
        wait_for("its slice is withdrawn", PATIENCE, || {
            if world.slices().contains_key("partly-0") { Err("still there") } else { Ok(()) }
        });
        // A namespace is admitted by its label.
        world.apply(&json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "default", "labels": {"tier": "front"}}}));
        world.wait_until("closed", "Accepted", "True/Accepted");
        // A second director: the group has two, with a virtual router each.
        world.node("a0", "10.0.0.2", "director");
        wait_for("the group has both", PATIENCE, || {
            let message = says(world.group_condition("default"), "True/Ready")?;
            if message.contains("2 directors: a0, d1") { Ok(()) } else { Err(message) }
        });
        let group: DirectorGroup = world.plane.get_cluster("default")?;
        let status = group.status.unwrap_or_default();
        let homes: Vec<&str> = status.virtual_routers.iter().map(|r| r.home.as_str()).collect();
        assert_eq!(homes, ["a0", "d1"]);
        assert!(status.presence_id.is_some() && status.sync_id.is_some(), "{status:?}");
        operator.assert_rights_suffice();
        Ok(())
    });
}

#[test]
fn what_vanished_while_nobody_watched_is_noticed() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        let operator = Operator::start(world.plane.operator_command());
        for name in ["one", "two"] {
            let address = if name == "one" { "10.0.0.10" } else { "10.0.0.11" };
            world.service(name, address, json!({}));
            world.server(&format!("{name}-a"), name, json!({"address": "10.0.1.1"}));
            world.server(&format!("{name}-b"), name, json!({"address": "10.0.1.2"}));
        }
        world.node("old", "10.0.0.9", "none");
        world.report("old", json!({"directorOf": []}));
        world.wait_for_placed("one", &["one-a 10.0.1.1 1", "one-b 10.0.1.2 1"]);
        world.wait_for_placed("two", &["two-a 10.0.1.1 1", "two-b 10.0.1.2 1"]);

        // Frozen while a real server and a service vanish, and while the API server forgets what it could have told
        // a watch that goes on from where it was.
        operator.0.stop();
        world.delete("RealServer", "one-a");
        world.delete("VirtualService", "two");
        world.delete("Node", "old");
        let old = world.slices()["one-0"].clone();
        world.delete("VirtualService", "one");
        world.service("one", "10.0.0.10", json!({}));
        world.plane.kill_api();
        world.plane.restart_api();
        sleep(seconds(300));
        operator.0.cont();
        world.wait_for_placed("one", &["one-b 10.0.1.2 1"]);
        world.wait_for_placed("two", &[]);
        assert!(!world.slices().contains_key("two-0"));
        // A service that was made anew takes the slice over: its table stays as it is meanwhile.
        let service: VirtualService = world.plane.get("default", "one")?;
        wait_for("the new service owns the slice", PATIENCE, || {
            let slice = world.slices()["one-0"].clone();
            assert_eq!(slice.metadata.uid, old.metadata.uid);
            let mut owners = slice.metadata.owner_references.iter().flatten();
            let owned = owners.any(|owner| Some(&owner.uid) == service.metadata.uid.as_ref());
            if owned { Ok(()) } else { Err(slice.metadata.owner_references) }
        });
        // The report of a node that is gone goes too, once its agent has been silent for long.
        let reported = || world.plane.get_cluster::<LVSNode>("old").is_ok();
        wait_for("the report of the vanished node is gone", seconds(120), || {
            if reported() { Err("still there") } else { Ok(()) }
        });
        operator.assert_rights_suffice();
        drop(operator);

        // Gone altogether, and a new one starts.
        world.delete("VirtualService", "one");
        world.service("three", "10.0.0.10", json!({}));
        let operator = Operator::start(world.plane.operator_command());
        wait_for("the orphan is deleted, and its address used", seconds(40), || {
            let slices: Vec<String> = world.slices().into_keys().collect();
            if slices == ["three-0"] { Ok(()) } else { Err(slices) }
        });
        operator.assert_rights_suffice();
        Ok(())
    });
}

#[test]
fn another_replica_takes_over_when_the_active_one_dies_and_at_once_when_it_ends() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        world.service("web", "10.0.0.10", json!({}));
        let mut first = Operator::start(world.plane.operator_command());
        wait_for("the first is active", PATIENCE, || if first.leads() { Ok(()) } else { Err(()) });
        let second = Operator::start(world.plane.operator_command());
        sleep(seconds(60));
        assert!(first.leads() && !second.leads());
        assert_eq!(second.writes().len(), 0, "who stands by writes nothing");

        let died = Instant::now();
        first.0.kill();
        world.server("a", "web", json!({"address": "10.0.0.101"}));
        world.wait_for_placed("web", &["a 10.0.0.101 1"]);
        let took = died.elapsed();
        assert!(took >= seconds(12) && took <= seconds(20), "{took:?}");
        assert!(second.leads());

        let third = Operator::start(world.plane.operator_command());
        sleep(seconds(10));
        let mut second = second;
        let ended = Instant::now();
        second.0.term();
        assert!(second.0.wait(seconds(10))?.success());
        world.server("a", "web", json!({"address": "10.0.0.102"}));
        world.wait_for_placed("web", &["a 10.0.0.102 1"]);
        let took = ended.elapsed();
        assert!(took <= seconds(5), "{took:?}");
        let lease = [
            "-n",
            "kube-lvs",
            "get",
            "lease",
            "kube-lvs-operator",
            "-o",
            "jsonpath={.spec.leaseTransitions}",
        ];
        assert_eq!(world.plane.kubectl(&lease)?, "2");
        third.assert_rights_suffice();
        Ok(())
    });
}

#[test]
fn a_write_of_an_active_replica_that_was_frozen_comes_late_and_changes_nothing() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let world = World::new();
        let account = world.plane.account_kubeconfig("kube-lvs-operator", None);
        let relay = Relay::start("10.70.0.1:6443")?;
        let mut through = Command::new(program("lvs-operator"));
        through.arg("--kubeconfig").arg(relay.kubeconfig(&account)?).args(["--log-level", "debug"]);
        through.args(["--namespace", NAMESPACE, "--listen", "127.0.0.1:0"]);
        let frozen = Operator::start(through);
        wait_for("it is active", PATIENCE, || if frozen.leads() { Ok(()) } else { Err(()) });
        world.service("web", "10.0.0.10", json!({}));
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 1}));
        world.wait_for_placed("web", &["a 10.0.0.101 1"]);
        let other = Operator::start(world.plane.operator_command());
        sleep(seconds(5));
        let before = frozen.writes();

        // It sees a change, decides, writes: and what it writes does not arrive, because it, its host or its network
        // stands still at that moment.
        relay.hold();
        let sent = frozen.0.log().matches("writing").count();
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 2}));
        wait_for("it writes", PATIENCE, || {
            let log = frozen.0.log();
            if log.matches("writing").count() > sent { Ok(()) } else { Err(log) }
        });
        frozen.0.stop();

        // The other takes over and goes on.
        world.wait_for_placed("web", &["a 10.0.0.101 2"]);
        assert!(other.leads());
        world.server("a", "web", json!({"address": "10.0.0.101", "weight": 3}));
        world.wait_for_placed("web", &["a 10.0.0.101 3"]);
        let slice: VirtualServiceSlice = world.plane.get("default", "web-0")?;

        // Now it arrives.
        relay.release();
        sleep(seconds(1));
        frozen.0.cont();
        wait_for("the late write is answered", PATIENCE, || {
            match frozen.metric("VirtualServiceSlice apply 409") {
                0 => Err(frozen.writes()),
                _ => Ok(()),
            }
        });
        sleep(seconds(5));
        assert!(
            frozen.0.log().contains("a write came late and changed nothing"),
            "{}",
            frozen.0.log()
        );
        assert!(!frozen.leads() && other.leads());
        let after: VirtualServiceSlice = world.plane.get("default", "web-0")?;
        assert_eq!(after, slice, "the late write changed something");
        let ok = |writes: &std::collections::BTreeMap<String, u64>| -> u64 {
            writes.iter().filter(|(name, _)| name.ends_with(" ok")).map(|(_, count)| count).sum()
        };
        assert_eq!(ok(&frozen.writes()), ok(&before), "it wrote nothing more");
        other.assert_rights_suffice();
        Ok(())
    });
}
