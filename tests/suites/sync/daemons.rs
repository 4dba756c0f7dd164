//! The daemons themselves.

use super::table::daemons;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, virtual_service};
use lvs_tests::table::NodeState;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const WEB: &str = "addresses: ['192.168.0.10'], forwarding: DR";

fn directors(group: &str) -> Directors {
    let mut directors = Directors::flat(2, 1);
    apply(&mut directors, group);
    directors
}

fn apply(directors: &mut Directors, group: &str) {
    let mut objects = vec![virtual_service("web", WEB)];
    objects.extend(directors.real_servers(false, "weight: 1"));
    directors.apply(group, &objects);
}

#[track_caller]
fn runs(director: &Node, expected: &[&str]) {
    let what = format!("{} runs {expected:?}", director.name());
    eventually(&what, SOON, || daemons(director), |found| found == expected);
}

fn sysctl(director: &Node, name: &str) -> String {
    let text = director.sh(&format!("cat /proc/sys/net/ipv4/vs/{name}")).expect("a sysctl");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const BOTH: [&str; 2] = [
    "master sync daemon (mcast=eth0, syncid=55, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
    "backup sync daemon (mcast=eth0, syncid=55, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)",
];

#[test]
fn both_stand_change_with_the_group_and_are_given_back() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = Directors::flat(2, 1);
        let before = NodeState::of(&world.nodes[0]);
        apply(&mut world, "");
        for director in &world.nodes {
            runs(director, &BOTH);
            assert_eq!(sysctl(director, "sync_threshold"), "2 0");
            assert_eq!(sysctl(director, "sync_refresh_period"), "8");
            let log = fs_journal(director)?;
            assert!(log.contains("syncDaemon") && log.contains("224.0.0.81"), "{log}");
        }
        apply(
            &mut world,
            "connectionSync: {syncID: 9, multicastGroup: 239.1.1.1, port: 9000, ttl: 3, maxLength: 600}",
        );
        for director in &world.nodes {
            runs(
                director,
                &[
                    "master sync daemon (mcast=eth0, syncid=9, maxlen=600, group=239.1.1.1, port=9000, ttl=3)",
                    "backup sync daemon (mcast=eth0, syncid=9, maxlen=1472, group=239.1.1.1, port=9000, ttl=3)",
                ],
            );
        }
        apply(&mut world, "connectionSync: {multicastGroup: 'ff12::99'}");
        runs(
            &world.nodes[0],
            &[
                "master sync daemon (mcast=eth0, syncid=55, maxlen=1452, group=ff12::99, port=8848, ttl=1)",
                "backup sync daemon (mcast=eth0, syncid=55, maxlen=1452, group=ff12::99, port=8848, ttl=1)",
            ],
        );
        apply(&mut world, "connectionSync: {enabled: false}");
        for director in &world.nodes {
            runs(director, &[]);
            assert_eq!(sysctl(director, "sync_threshold"), "3 50");
        }
        apply(&mut world, "");
        runs(&world.nodes[0], &BOTH);
        // Somebody stops one: it is drift.
        world.nodes[0].sh("ipvsadm --stop-daemon master")?;
        world.agents[0].kill();
        world.agents[0].run();
        runs(&world.nodes[0], &BOTH);
        world.agents[0].clean_up();
        assert_eq!(daemons(&world.nodes[0]), [""; 0]);
        // What the agent had set by then, as the only director of a group without members.
        let mut left = NodeState::of(&world.nodes[0]).changes_since(&before);
        left.retain(|line| !line.contains("net/ipv4/vs/expire_"));
        assert_eq!(left, [""; 0]);
        Ok(())
    });
}

fn fs_journal(director: &Node) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(lvs_tests::control_plane::state_dir(director).join("journal"))?)
}

#[test]
fn a_daemon_of_somebody_elses_is_told_and_left_alone() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = Directors::flat(2, 1);
        world.nodes[0].sh("ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 77")?;
        apply(&mut world, "");
        let theirs = "backup sync daemon (mcast=eth0, syncid=77, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
        runs(&world.nodes[0], &[BOTH[0], theirs]);
        let status = eventually(
            "the foreign daemon is told",
            SOON,
            || serde_json::to_string(&world.agents[0].status()).unwrap_or_default(),
            |status| status.contains("ForeignFixture"),
        );
        assert!(status.contains("ipvsadm --stop-daemon backup"), "{status}");
        apply(&mut world, "connectionSync: {enabled: false}");
        runs(&world.nodes[0], &[theirs]);
        world.agents[0].clean_up();
        assert_eq!(daemons(&world.nodes[0]), [theirs]);
        Ok(())
    });
}

#[test]
fn an_interface_that_is_missing_or_deaf_is_told_with_the_field() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = directors("connectionSync: {interface: eth9}");
        let told = |world: &Directors, part: &str| {
            eventually(
                &format!("{part} is told"),
                SOON,
                || serde_json::to_string(&world.agents[0].status()).unwrap_or_default(),
                |status| status.contains(part) && status.contains("spec.connectionSync.interface"),
            );
        };
        told(&world, "NoInterface");
        apply(&mut world, "connectionSync: {interface: lo}");
        told(&world, "NoMulticast");
        world.nodes[0].sh("ip link set eth0 multicast off")?;
        apply(&mut world, "");
        told(&world, "eth0 of node lvs1");
        runs(&world.nodes[1], &BOTH);
        assert_eq!(daemons(&world.nodes[0]), [""; 0]);
        world.nodes[0].sh("ip link set eth0 multicast on")?;
        runs(&world.nodes[0], &BOTH);
        Ok(())
    });
}

#[test]
fn daemons_make_way_for_a_destination_of_the_other_family_and_come_back() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = directors("");
        let director = world.nodes[0].clone();
        runs(&director, &BOTH);
        let mut objects =
            vec![virtual_service("web", "addresses: ['192.168.0.10'], forwarding: TUN")];
        objects.extend(world.real_servers(true, "weight: 1"));
        world.apply("", &objects);
        runs(&director, &[]);
        let destinations = || {
            let services = director.services();
            services.iter().map(|service| service.destinations.len()).sum::<usize>()
        };
        eventually("the destination is there", SOON, destinations, |count| *count == 1);
        eventually(
            "the status says so",
            SOON,
            || serde_json::to_string(&world.agents[0].status()).unwrap_or_default(),
            |status| status.contains("NoConnectionSync"),
        );
        apply(&mut world, "");
        runs(&director, &BOTH);
        Ok(())
    });
}
