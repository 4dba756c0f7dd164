//! Several directors: one dies, is frozen, is told to go or comes back, and what clients notice of it.

#[path = "failover/new_link.rs"]
mod new_link;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::bench::{Crash, Mode, Pair, Rival, survivors};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, virtual_service};
use lvs_tests::traffic::{Attempt, Probe, Server, longest_silence};

const VIP: &str = "192.168.0.10";
const WEB: &str = "192.168.0.10:80";
/// Between two attempts of a client.
const EVERY: Duration = Duration::from_millis(5);
/// What the default profile promises.
const PROMISE: Duration = Duration::from_millis(300);
/// The kernel's own hand, and its rounding.
const LIFETIME: Duration = Duration::from_millis(3300);
/// A request that takes long.
const LATE: Duration = Duration::from_millis(500);
/// Long enough for whatever is to happen to have happened.
const SETTLED: Duration = Duration::from_secs(6);

/// Two directors, two real servers behind their floating gateway, and one VirtualService.
fn nat_pair(group: &str) -> Directors {
    let mut net = Directors::nat(2, 2);
    net.listen(Server::tcp, "0.0.0.0:8080");
    serve_nat(net, group, "rr")
}

fn serve_nat(mut net: Directors, group: &str, scheduler: &str) -> Directors {
    let spec = format!(
        "addresses: [{VIP}], forwarding: NAT, scheduler: {scheduler}, ports: [{{port: 80, targetPort: 8080}}]"
    );
    let mut objects = net.real_servers(false, "weight: 1");
    objects.push(virtual_service("web", &spec));
    net.apply(group, &objects);
    net.holder(VIP);
    net
}

fn is_served(net: &Directors) {
    let shares = net.client.shares(WEB, 4).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(shares.values().sum::<usize>(), 4, "{shares:?}");
}

/// Attempts that were begun from `since` on and not answered, but for those of the last moments.
fn lost(attempts: &[Attempt], since: Instant) -> usize {
    let last = attempts.last().map(|it| it.begun);
    let counts = |it: &&Attempt| {
        it.begun >= since
            && it.answered.is_none()
            && last.is_some_and(|last| it.begun + PROMISE < last)
    };
    attempts.iter().filter(counts).count()
}

/// Runs `event` under load and gives the longest time without an answer from then on, and the attempts that failed.
fn under_load(net: &mut Directors, event: impl FnOnce(&mut Directors)) -> (Duration, usize) {
    let probe = Probe::start(&net.client, WEB, EVERY);
    sleep(Duration::from_secs(1));
    let since = Instant::now();
    event(net);
    sleep(SETTLED);
    let attempts = probe.end();
    let (begin, end) = longest_silence(&attempts, since).expect("an end of the silence");
    (end - begin, lost(&attempts, since))
}

#[test]
fn a_director_whose_cables_are_pulled_is_replaced_gateway_and_all_within_the_promise() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat_pair("");
        is_served(&net);
        let first = net.holder(VIP);
        assert_eq!(net.holder(Directors::GATEWAY), first, "the gateway is where the VIP is");
        let (gap, lost) = under_load(&mut net, |net| net.unplug(first));
        println!("cables pulled: longest gap {gap:?}, {lost} lost");
        assert!(gap <= PROMISE, "{gap:?}");
        let second = net.holder(VIP);
        assert_ne!(second, first);
        assert_eq!(net.holder(Directors::GATEWAY), second);
        is_served(&net);
        Ok(())
    });
}

#[test]
fn an_agent_that_is_killed_or_frozen_loses_its_addresses_by_the_kernels_own_hand() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat_pair("failover: {preempt: false}");
        for freeze in [false, true] {
            let first = net.holder(VIP);
            let mut ended = Instant::now();
            let (gap, lost) = under_load(&mut net, |net| {
                ended = Instant::now();
                if freeze {
                    net.agents[first].freeze();
                } else {
                    net.agents[first].kill();
                }
            });
            println!("frozen {freeze}: longest gap {gap:?}, {lost} lost");
            assert!(gap <= PROMISE, "{gap:?}");
            let second = net.holder(VIP);
            assert_ne!(second, first);
            assert!(ended.elapsed() >= LIFETIME);
            is_served(&net);
            if freeze {
                net.agents[first].thaw();
            } else {
                net.agents[first].run();
            }
            sleep(SETTLED);
            assert_eq!(
                (net.holders(VIP), net.holders(Directors::GATEWAY)),
                (vec![second], vec![second])
            );
        }
        Ok(())
    });
}

#[test]
fn the_last_agents_death_takes_nothing_down() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat_pair("");
        let first = net.holder(VIP);
        net.unplug(first);
        let second = eventually(
            "the other one has the VIP",
            SETTLED,
            || net.holders(VIP),
            |holders| *holders == [1 - first],
        )[0];
        // Now it knows of nobody else.
        sleep(SETTLED);
        net.agents[second].kill();
        sleep(SETTLED);
        assert_eq!(net.holders(VIP), [second]);
        is_served(&net);
        let (gap, lost) = under_load(&mut net, |net| net.agents[second].run());
        assert_eq!((lost, gap <= 3 * EVERY), (0, true), "{gap:?}");
        assert_eq!(net.holders(VIP), [second]);
        Ok(())
    });
}

#[test]
fn who_is_told_to_go_hands_over_and_nothing_is_lost() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat_pair("failover: {preemptDelaySeconds: 2}");
        let first = net.holder(VIP);
        let probe = Probe::start(&net.client, WEB, EVERY);
        sleep(Duration::from_secs(1));
        let since = Instant::now();
        net.agents[first].stop();
        sleep(SETTLED);
        assert_eq!(net.holders(VIP), [1 - first]);
        // And back: the one that it belongs to waits a while, then takes it over.
        net.agents[first].run();
        sleep(SETTLED);
        assert_eq!(net.holders(VIP), [first]);
        let attempts = probe.end();
        assert_eq!(lost(&attempts, since), 0, "of {}", attempts.len());
        Ok(())
    });
}

/// docs/concepts/failover.md, "A planned hand-over".
#[test]
fn requests_under_way_outlive_a_planned_hand_over_where_the_next_director_finds_their_server() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = Directors::nat(2, 2);
        net.servers.iter().for_each(answer_late);
        let group = "sysctls: {sloppyTcp: true}, failover: {dropUnknownReplies: true}";
        let scheduler = "sh, schedulerFlags: [shPort, shFallback]";
        let mut net = serve_nat(net, group, scheduler);
        let first = net.holder(VIP);
        let client = net.client.clone();
        // As clients have, so that it can reset what it takes for a stranger's.
        client.ip(&format!("route add default via 192.168.0.{}", 2 - first));
        // From before the hand-over until after it, each at another point of its life when it comes.
        let requests = thread::spawn(move || {
            let one = |_| {
                // So few that IPVS itself tells nobody of them for 2 s.
                sleep(EVERY * 5);
                let client = client.clone();
                thread::spawn(move || client.run(ask_late))
            };
            let all: Vec<_> = (0..38).map(one).collect();
            all.into_iter().map(|it| it.join().expect("a client")).collect::<Vec<_>>()
        });
        sleep(LATE);
        net.agents[first].stop();
        let answers = requests.join().expect("all clients");
        let failed: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), answers.len());
        assert_eq!(net.holders(VIP), [1 - first]);
        Ok(())
    });
}

/// A server on port 8080 whose answers take [`LATE`].
fn answer_late(node: &Node) {
    let listener = node.run(|| TcpListener::bind("0.0.0.0:8080")).expect("a listener");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                client.read_exact(&mut [0])?;
                sleep(LATE);
                client.write_all(b"!")
            });
        }
    });
}

fn ask_late() -> std::io::Result<()> {
    let mut server = TcpStream::connect(WEB)?;
    server.set_read_timeout(Some(Duration::from_secs(20)))?;
    server.write_all(b"?")?;
    server.read_exact(&mut [0])
}

/// `make bench-failover` opens many more.
fn connections_outlive(mode: Mode) {
    in_guest(Guest::kernel().virtual_time(), move || -> anyhow::Result<()> {
        for survivors in survivors(mode, 100)? {
            println!("{mode:?}: {survivors:?}");
            assert_eq!((survivors.talkers, survivors.silent), (survivors.of, survivors.of));
        }
        Ok(())
    });
}

#[test]
fn nat_connections_outlive_the_director_that_carried_them() {
    connections_outlive(Mode::NAT);
}

#[test]
fn dr_connections_outlive_the_director_that_carried_them() {
    connections_outlive(Mode::DR);
}

#[test]
fn tun_connections_outlive_the_director_that_carried_them() {
    connections_outlive(Mode::TUN);
}

/// `make bench-failover` tries a thousand moments.
#[test]
fn outages_keep_the_promise_at_whatever_moment_a_director_dies() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut pair = Pair::start(Rival::Ours("profile: Default"))?;
        let outages = pair.outages(Crash::Cables, 25)?;
        println!("{outages:?}");
        assert!(outages.max() <= PROMISE, "{outages:?}");
        Ok(())
    });
}

#[test]
fn the_fast_profile_keeps_its_promise_at_whatever_moment_a_director_dies() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut pair = Pair::start(Rival::Ours("profile: Fast"))?;
        let outages = pair.outages(Crash::Cables, 25)?;
        println!("{outages:?}");
        assert!(outages.max() <= PROMISE / 3, "{outages:?}");
        Ok(())
    });
}

/// The first line of a director's log with this event about the virtual router of the VIP, as words of its fields.
#[track_caller]
fn said(net: &Directors, director: usize, event: &str) -> String {
    let find = || {
        let log = net.agents[director].log();
        let wanted = format!("event=\"{event}\"");
        log.lines().rfind(|line| line.contains(&wanted) && line.contains(VIP)).map(str::to_owned)
    };
    let what = format!("{} says {event}", net.nodes[director].name());
    eventually(&what, SETTLED, find, Option::is_some).unwrap_or_default()
}

#[test]
fn a_director_says_in_its_log_what_it_takes_over_and_gives_up_and_why() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut net = nat_pair("failover: {preemptDelaySeconds: 2}");
        let first = net.holder(VIP);
        let second = 1 - first;
        let names = [0, 1].map(|director: usize| net.nodes[director].name().to_owned());
        let has = |line: &str, parts: &[&str]| {
            parts
                .iter()
                .for_each(|part| assert!(line.contains(part), "{part:?} is not in\n{line}"));
        };
        let held = format!("{VIP}/32 on eth0");
        has(&said(&net, first, "TookOver"), &["INFO took over", &held, "decided_to_announced_ms="]);
        sleep(SETTLED);

        net.unplug(first);
        has(&said(&net, first, "Down"), &["WARN gave up", ": interface eth", " is down", &held]);
        let line = said(&net, second, "TookOver");
        println!("{line}");
        let silence = format!(": nothing heard of {} for ", names[first]);
        let fields = ["last_heard_to_announced_ms=", "group=\"default\"", "vrid="];
        has(&line, &[["INFO took over", &silence, &held].as_slice(), &fields].concat());

        net.plug(first);
        let back = || net.holders(VIP);
        eventually("it is at home again", SETTLED, back, |holders| *holders == [first]);
        let comes =
            format!("this director comes before {} (priority 254 against 250)", names[second]);
        let peers = format!("peers=\"{}\"", names[second]);
        has(&said(&net, first, "TookOver"), &["took over", &comes, &peers, &held]);
        let carries = format!("{} carries it, and comes before this director", names[first]);
        has(&said(&net, second, "GaveUp"), &["INFO gave up", &carries, &held]);

        net.agents[first].freeze();
        eventually("the other has it", SETTLED, back, |holders| *holders == [second]);
        net.agents[first].thaw();
        has(
            &said(&net, first, "Stalled"),
            &["WARN let go of", "the agent did not run for ", &held],
        );
        eventually("it is at home again", SETTLED, back, |holders| *holders == [first]);
        sleep(SETTLED);

        // Its log is gone with it; what the other says is enough here.
        net.agents[first].stop();
        let gave = format!(": {} gave it up", names[first]);
        has(&said(&net, second, "TookOver"), &["took over", &gave, &held]);
        let lines = net.agents[second].log().lines().filter(|it| it.contains("event=")).count();
        // Three take-overs and two ways back, of two virtual routers, and the gateways' beside the VIP's.
        println!("{lines} lines");
        assert!(lines <= 20, "{lines} lines for five changes of two virtual routers");
        Ok(())
    });
}
