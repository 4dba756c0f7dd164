//! Beside systemd-networkd, the real program, which has the say over a director's interface.

use super::others::source;
use super::several::{group, held, reported, start};
use super::{has, time_until};
use lvs_agent::failover::{Carrier as _, Wants};
use lvs_agent::state::HeldAddress;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Daemon, Link, Node};
use lvs_tests::scenario::carrying::wants;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const VIP: &str = "10.0.0.100";
const VIP_SIX: &str = "fd00::100";
const PROGRAM: &str = "/usr/lib/systemd/systemd-networkd";
const PATIENCE: Duration = Duration::from_secs(20);

/// A link before udev has seen it is none of its business, unless /sys is read-only (`udev_available`).
const START: &str = "mount --make-rprivate / && mount -t sysfs -o ro sysfs /sys \
    && mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp \
    && chown -R systemd-network /run/systemd/netif && exec /usr/lib/systemd/systemd-networkd";

struct World {
    a: Node,
    host: Node,
}

fn world() -> World {
    let link = Link::new("lan");
    let folder = "/run/systemd/network";
    let file =
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.1/24\nAddress=fd00::1/64\nIPv6AcceptRA=no\n";
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(format!("{folder}/eth0.network"), file))
        .expect("a file");
    let a = Node::new("a").on(&link, "eth0", "");
    World {
        // As systemd's own sysctl.d/50-default.conf has it, and the agent where such a VIP stands.
        a: a.sysctl("net.ipv4.conf.eth0.promote_secondaries", "1"),
        host: Node::new("host").on(&link, "eth0", "10.0.0.50/24 fd00::101/64"),
    }
}

fn networkd(node: &Node) -> Daemon {
    assert!(fs::exists(PROGRAM).is_ok_and(|is| is), "no {PROGRAM} (package systemd)");
    node.spawn(Command::new("unshare").args(["--mount", "sh", "-c", START]))
}

fn addresses() -> BTreeSet<HeldAddress> {
    let six = HeldAddress {
        interface: "eth0".to_owned(),
        address: format!("{VIP_SIX}/64").parse().unwrap(),
    };
    BTreeSet::from([held(VIP, "eth0"), six])
}

/// The director's own connections come from its own addresses.
#[track_caller]
fn is_source(world: &World) {
    let found =
        || (source(&world.a, &world.host, "10.0.0.50"), source(&world.a, &world.host, "fd00::101"));
    let own = ("10.0.0.1".to_owned(), "fd00::1".to_owned());
    eventually("its own addresses are the source", Duration::from_secs(5), found, |found| {
        *found == own
    });
}

#[test]
fn a_restart_of_systemd_networkd_and_a_cable_that_is_pulled_leave_the_last_director_its_vips() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let world = world();
        let a = &world.a;
        let mut manager = networkd(a);
        eventually("it has its own address", PATIENCE, || has(a, "10.0.0.1"), |has| *has);
        let mut at_a = start(a);
        let mut want = group("a", 10, &["a", "b"], held(VIP, "eth0"));
        want.routers.get_mut(&10).expect("the router").addresses = addresses();
        at_a.want(wants(1, vec![("one", want)]));
        let both = || has(a, VIP) && has(a, VIP_SIX);
        time_until("it is alone", Duration::from_secs(5), both);
        is_source(&world);

        manager.term();
        manager.wait(PATIENCE)?;
        let mut manager = networkd(a);
        for _ in 0..500 {
            assert!(both(), "systemd-networkd 252 takes nothing away when it starts");
            sleep(Duration::from_millis(10));
        }

        // It takes its own address away while there is no carrier.
        a.unplug("eth0");
        eventually("it has no address", PATIENCE, || has(a, "10.0.0.1"), |has| !has);
        a.plug("eth0");
        let took = time_until("it has its VIPs again", PATIENCE, both);
        println!("back {took:?} after the cable");
        // Its link has just come up, so it listens first for who else may be there.
        assert!(took <= Duration::from_secs(3), "{took:?}");
        is_source(&world);
        reported(&at_a, "all is well", |it| it.problems.is_empty() && it.held.len() == 2);
        manager.kill();
        Ok(())
    });
}

#[test]
fn what_systemd_networkd_puts_behind_a_vip_is_put_before_it() {
    in_guest(Guest::kernel().virtual_time(), || {
        let world = world();
        let a = &world.a;
        let _manager = networkd(a);
        eventually("it has its own address", PATIENCE, || has(a, "10.0.0.1"), |has| *has);
        // The engine's, of a director that is alone.
        a.ip(
            "addr add 10.0.0.100/24 dev eth0\naddr add fd00::100/64 dev eth0 nodad preferred_lft 0",
        );
        let mut at_a = start(a);
        at_a.want(Wants { number: 1, staying: addresses(), ..Wants::default() });
        reported(&at_a, "it has heard of it", |it| it.number == 1);
        is_source(&world);
        for _ in 0..3 {
            a.unplug("eth0");
            eventually("it has no address", PATIENCE, || has(a, "10.0.0.1"), |has| !has);
            a.plug("eth0");
            eventually("it has its own again", PATIENCE, || has(a, "10.0.0.1"), |has| *has);
            // Which is the second in its subnet, for the VIP has stayed.
            is_source(&world);
            assert!(has(a, VIP));
        }
    });
}
