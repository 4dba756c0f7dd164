//! Directors that are real servers too: what one has balanced to another is served there, and not balanced again, whoever
//! has the VIP.

use anyhow::Context as _;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, real_server, virtual_service};
use lvs_tests::table::Service;
use lvs_tests::traffic::{Client, Server, shares};
use lvs_tests::wire::{Capture, Packet};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// A client takes no second word on a MAC address within a second (`locktime` of its neighbours), and files are read after
/// a moment of quiet.
const SETTLED: Duration = Duration::from_secs(2);
/// What comes back takes back at once.
const GROUP: &str = "failover: {preemptDelaySeconds: 0}";
const VIP: &str = "192.168.0.10";
const VIP_SIX: &str = "2001:db8::10";

/// Three real servers: two of them, or those that are named, are the directors.
struct World {
    directors: Directors,
    _programs: Vec<Server>,
    /// How many have been.
    loads: Cell<usize>,
}

const TUNNELS: [&str; 3] = ["", "tunnel: {type: ipip}", "tunnel: {type: gue}"];

fn objects(directors: &Directors, tunnel: &str, serving: &[usize], six: bool) -> Vec<String> {
    let forwarding = if tunnel.is_empty() { "DR" } else { "TUN" };
    let vip = if six { VIP_SIX } else { VIP };
    // The same port would be one socket for both families.
    let port = if six { 90 } else { 80 };
    let spec = format!(
        "addresses: ['{vip}'], ports: [{{port: {port}}}], forwarding: {forwarding}, scheduler: rr, {tunnel}"
    );
    let mut objects = vec![virtual_service("web", &spec)];
    objects.extend(directors.real_servers(six, "weight: 1"));
    for index in serving {
        let host = index + 1;
        let address = if six { format!("2001:db8::{host}") } else { format!("192.168.0.{host}") };
        let spec = format!("address: '{address}', weight: 1");
        objects.push(real_server(&format!("lvs{host}"), "web", &spec));
    }
    objects
}

impl World {
    fn new(group: &str) -> World {
        let mut directors = Directors::flat(2, 1);
        directors.listen(Server::tcp, "0.0.0.0:80");
        directors.listen(Server::tcp, "[::]:90");
        let programs = directors.nodes.iter().flat_map(|node| {
            [
                Server::tcp(node, "0.0.0.0:80", node.name()),
                Server::tcp(node, "[::]:90", node.name()),
            ]
        });
        let programs = programs.collect();
        directors.apply(group, &[]);
        World { directors, _programs: programs, loads: Cell::new(0) }
    }

    /// Waits until each has its VIP where it belongs and the directors all destinations. Returns who has the VIP.
    fn serve(&mut self, group: &str, tunnel: &str, serving: &[usize], six: bool) -> usize {
        let objects = objects(&self.directors, tunnel, serving, six);
        self.directors.apply(group, &objects);
        // What was before may look the same, but for the tunnels.
        sleep(SETTLED);
        let count = serving.len() + 1;
        for (index, node) in self.directors.nodes.iter().enumerate() {
            let complete = |services: &Vec<Service>| {
                let has = |protocol: bool, wanted: usize| {
                    services.iter().filter(|it| (it.protocol == "FWM") == protocol).count()
                        == wanted
                        && services
                            .iter()
                            .all(|it| it.protocol == "FWM" || it.destinations.len() == count)
                };
                has(false, 1) && has(true, usize::from(serving.contains(&index)))
            };
            eventually("the directors are programmed", SOON, || node.services(), complete);
        }
        let vip = if six { VIP_SIX } else { VIP };
        let quiet = format!("lo {vip}");
        let serving = serving.iter().map(|index| &self.directors.nodes[*index]);
        for node in serving.chain(&self.directors.servers) {
            let addresses = || node.addresses();
            eventually("the VIP is on lo", SOON, addresses, |all| {
                all.iter().any(|it| it.starts_with(&quiet))
            });
        }
        self.directors.holder(vip)
    }

    /// The agent of the director that has the VIP ends, and the other has it. All else of it stays, connections too.
    fn hand_over(&mut self, six: bool, active: usize) -> usize {
        let vip = if six { VIP_SIX } else { VIP };
        self.directors.agents[active].stop();
        let holders = || self.directors.holders(vip);
        eventually("the other takes over", SOON, holders, |all| *all == [1 - active]);
        sleep(SETTLED);
        1 - active
    }

    /// Under load, with the VIP at the one director and at the other.
    fn loaded(
        &mut self,
        tunnel: &str,
        serving: &[usize],
        servers: &[&str],
        six: bool,
    ) -> anyhow::Result<()> {
        let address = if six { "[2001:db8::10]:90" } else { "192.168.0.10:80" };
        let told = |active: usize| format!("{tunnel:?}, {servers:?}, {active} is active");
        let home = self.serve(GROUP, tunnel, serving, six);
        under_load(self, address, servers).map_err(|error| error.context(told(home)))?;
        let other = self.hand_over(six, home);
        under_load(self, address, servers).map_err(|error| error.context(told(other)))?;
        self.come_back(six, home);
        Ok(())
    }

    /// It is back, and so is the VIP.
    fn come_back(&mut self, six: bool, home: usize) {
        let vip = if six { VIP_SIX } else { VIP };
        self.directors.agents[home].run();
        let holders = || self.directors.holders(vip);
        eventually("the VIP is back", SOON * 3, holders, |all| *all == [home]);
        sleep(SETTLED);
    }
}

/// 400 new connections: none is lost, none arrives twice, and each server gets its share.
fn under_load(world: &World, address: &str, servers: &[&str]) -> anyhow::Result<()> {
    const COUNT: usize = 400;
    // An address and ports of its own: of a port that is used again within two minutes IPVS remembers the server, and a
    // client with more than tcp_max_tw_buckets connections behind it chooses such ports.
    let number = world.loads.get() + 1;
    world.loads.set(number);
    let client = &world.directors.client;
    let source = if address.starts_with('[') {
        client.ip(&format!("addr add 2001:db8::5{number:02}/64 dev eth0 nodad"));
        format!("[2001:db8::5{number:02}]")
    } else {
        client.ip(&format!("addr add 192.168.0.{}/24 dev eth0", 60 + number));
        format!("192.168.0.{}", 60 + number)
    };
    let nodes = world.directors.nodes.iter().chain(&world.directors.servers);
    let captures: Vec<Capture> = nodes.map(Capture::start).collect();
    let mut found = BTreeMap::<String, usize>::new();
    for port in (20_000..).take(COUNT) {
        let answer = Client::new(client).from(&format!("{source}:{port}")).get(address);
        let answer = answer.with_context(|| format!("port {port}, after {found:?}"))?;
        *found.entry(answer.server).or_default() += 1;
    }
    let frames: Vec<_> = captures.iter().map(Capture::frames).collect();
    let answers =
        frames.iter().flatten().filter(|frame| frame.outgoing && is_syn_ack(&frame.packet));
    anyhow::ensure!(answers.count() == COUNT, "not one answer a connection");
    let met: Vec<&str> = found.keys().map(String::as_str).collect();
    anyhow::ensure!(met == servers, "{found:?}");
    let least = COUNT / servers.len();
    let even = found.values().all(|count| count.abs_diff(least) <= 1);
    anyhow::ensure!(even, "{found:?}");
    Ok(())
}

/// The second of a handshake.
fn is_syn_ack(packet: &Packet) -> bool {
    let Packet::Ip { protocol: 6, payload, .. } = packet else { return false };
    payload.get(13).is_some_and(|flags| flags & 0x12 == 0x12)
}

#[test]
fn whoever_is_active_and_whoever_serves_nothing_is_balanced_twice() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(400));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut world = World::new(GROUP);
        for tunnel in TUNNELS {
            let all: [(&[usize], &[&str]); 3] = [
                (&[0], &["lvs1", "rs1"]),
                (&[1], &["lvs2", "rs1"]),
                (&[0, 1], &["lvs1", "lvs2", "rs1"]),
            ];
            for (serving, servers) in all {
                world.loaded(tunnel, serving, servers, false)?;
            }
        }
        Ok(())
    });
}

#[test]
fn ipv6_is_balanced_once_too() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(200));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut world = World::new(GROUP);
        for tunnel in TUNNELS {
            world.loaded(tunnel, &[0, 1], &["lvs1", "lvs2", "rs1"], true)?;
        }
        Ok(())
    });
}

/// What the marked service of a director has been given: connections and packets, as ipvsadm counts them.
fn own_counts(node: &Node) -> anyhow::Result<Vec<u64>> {
    let text = node.sh("ipvsadm -l -n --stats --exact")?;
    let line = text.lines().find(|line| line.starts_with("FWM")).unwrap_or_default();
    Ok(line.split_whitespace().filter_map(|word| word.parse().ok()).skip(1).collect())
}

#[test]
fn held_connections_outlive_the_active_director_and_no_entry_ends_the_others() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(200));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut world = World::new(GROUP);
        let home = world.serve(GROUP, "", &[0, 1], false);
        let client = Client::new(&world.directors.client);
        let mut held = client.hold_many("192.168.0.10:80", 300)?;
        assert_eq!(held.shares(), shares([("lvs1", 100), ("lvs2", 100), ("rs1", 100)]));
        let counts = || own_counts(&world.directors.nodes[1 - home]).unwrap_or_default();
        eventually("the marked service counts its 100", SOON, counts, |all| {
            all.first() == Some(&100)
        });
        let marked = own_counts(&world.directors.nodes[home])?;
        assert_eq!(marked.first(), Some(&0), "nothing comes to the active one from another");
        // Several rounds of messages, each of which could end an entry of the other's.
        for _ in 0..4 {
            sleep(Duration::from_secs(9));
            held.assert_alive("messages both ways");
        }
        world.hand_over(false, home);
        held.assert_alive("the other director took over");
        world.come_back(false, home);
        held.assert_alive("and gave back");
        Ok(())
    });
}

/// What a client sends before it hears of the other director arrives after that. Nodes of Kubernetes forward, so the one
/// that is relieved would pass it on to the other, a real server, who would take it for balanced already.
#[test]
fn what_is_on_its_way_during_a_hand_over_is_served() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new("sysctls: {sloppyTcp: true}");
        for node in &world.directors.nodes {
            node.sh("sysctl -qw net.ipv4.ip_forward=1")?;
        }
        let group = format!("{GROUP}, sysctls: {{sloppyTcp: true}}");
        let scheduler = "sh, schedulerFlags: [shPort, shFallback]";
        let served_by = |world: &mut World, director: usize| {
            let objects = objects(&world.directors, "", &[director], false);
            let objects: Vec<_> = objects
                .iter()
                .map(|object| object.replace("scheduler: rr", &format!("scheduler: {scheduler}")))
                .collect();
            world.directors.apply(&group, &objects);
            sleep(SETTLED);
            world.directors.holder(VIP)
        };
        let home = served_by(&mut world, 0);
        // The one that is relieved has the VIP nowhere then.
        assert_eq!(served_by(&mut world, 1 - home), home);
        let client = world.directors.client.clone();
        client.sh("tc qdisc add dev eth0 root netem delay 10ms")?;
        let (ended, asking) = (Arc::new(AtomicBool::new(false)), client.clone());
        let told = ended.clone();
        let requests = thread::spawn(move || {
            let mut all = Vec::new();
            while !told.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(2));
                let client = asking.clone();
                all.push(thread::spawn(move || Client::new(&client).get("192.168.0.10:80")));
            }
            all.into_iter().map(|it| it.join().expect("a client")).collect::<Vec<_>>()
        });
        let other = world.hand_over(false, home);
        world.come_back(false, home);
        ended.store(true, Ordering::Relaxed);
        let answers = requests.join().expect("all clients");
        let lost: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        assert!(answers.len() > 1_000 && other != home);
        assert!(lost.is_empty(), "{} of {}: {:?}", lost.len(), answers.len(), lost.first());
        Ok(())
    });
}

#[test]
fn a_vip_on_lo_and_on_the_interface_is_answered_for_where_it_is_on_the_interface_alone() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new(GROUP);
        let home = world.serve(GROUP, "", &[0, 1], false);
        let answers = |world: &World| world.directors.client.who_has(VIP, "eth0");
        let mac = |world: &World, active: usize| {
            [world.directors.nodes[active].mac("eth0").to_owned()].into()
        };
        assert_eq!(answers(&world), mac(&world, home));
        let other = world.hand_over(false, home);
        assert_eq!(answers(&world), mac(&world, other));
        world.come_back(false, home);
        assert_eq!(answers(&world), mac(&world, home));
        Ok(())
    });
}
