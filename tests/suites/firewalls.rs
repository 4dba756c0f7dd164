//! Beside firewalls on the director: their own programs and rule files, not ours. What serves as it is, what does not, and
//! what to add for it; the table in docs/concepts/forwarding.md is what is asserted here.

#[path = "firewalls/flush.rs"]
mod flush;
#[path = "firewalls/install.rs"]
mod install;
#[path = "forwarding/world.rs"]
#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the suite of forwarding has it too, and asks more of it"
)]
mod world;

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::Node;
use lvs_tests::scenario::{real_server, virtual_service};
use lvs_tests::traffic::{Client, Server};
use lvs_tests::wait_for;

use install::{Firewall, Standing};
use world::World;

/// One port for all: only NAT could translate it.
const PORT: u16 = 8000;
const BYTES: usize = 200_000;

/// What is asked of each firewall, one way of forwarding each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Nat,
    Masqueraded,
    Tunnel,
}
use Way::{Direct, Masqueraded, Nat, Tunnel};

const WAYS: [Way; 4] = [Direct, Nat, Masqueraded, Tunnel];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Direct => "dr",
            Nat => "nat",
            Masqueraded => "masq",
            Tunnel => "tun",
        }
    }

    fn vip(self) -> &'static str {
        match self {
            Direct => "192.168.0.31",
            Nat => "192.168.0.32",
            Masqueraded => "192.168.0.33",
            Tunnel => "192.168.0.34",
        }
    }

    fn objects(self) -> String {
        let (server, how) = match self {
            Direct => ("192.168.0.101", "forwarding: DR"),
            Nat => ("10.0.0.101", "forwarding: NAT"),
            Masqueraded => ("10.0.0.102", "forwarding: NAT, nat: {masquerade: true}"),
            Tunnel => ("10.3.0.101", "forwarding: TUN"),
        };
        let spec = format!(
            "addresses: [{}], ports: [{{name: web, port: 80}}, {{name: bulk, port: {PORT}}}], scheduler: wlc, {how}",
            self.vip()
        );
        let service = virtual_service(self.name(), &spec);
        let server = real_server(self.name(), self.name(), &format!("address: {server}"));
        format!("{service}---\n{server}")
    }
}

/// The machines, with agents, servers for large transfers, and the services of `ways`.
struct Ground {
    world: World,
    ways: Vec<Way>,
    _servers: Vec<Server>,
}

impl Ground {
    /// Beside a firewall, if one is given.
    fn new(firewall: Option<&Firewall>) -> (Ground, Standing) {
        let mut world = World::new();
        let standing = firewall.map(|firewall| (firewall.start)(&world.director));
        let nodes = [
            world.director.clone(),
            world.near.clone(),
            world.inside[0].clone(),
            world.inside[1].clone(),
            world.far[0].clone(),
        ];
        nodes[2].ip("route add default via 10.0.0.1");
        world.start(&nodes.each_ref());
        let address = format!("0.0.0.0:{PORT}");
        let servers = nodes[1..].iter().map(|it| Server::bulk(it, &address, it.name())).collect();
        (Ground { world, ways: Vec::new(), _servers: servers }, standing.unwrap_or_default())
    }

    fn director(&self) -> &Node {
        &self.world.director
    }

    fn apply(&mut self, ways: &[Way]) {
        self.ways = ways.to_vec();
        let objects: Vec<_> = ways.iter().map(|way| way.objects()).collect();
        let names: Vec<_> = ways.iter().map(|way| way.name()).collect();
        self.world.apply(&objects.join("---\n"), &names);
    }

    /// Which ways serve: [`BYTES`] there and back, and IPVS sees the end.
    fn served(&self) -> Vec<Way> {
        self.ways.iter().copied().filter(|way| self.serves(*way)).collect()
    }

    fn serves(&self, way: Way) -> bool {
        let client = Client::new(&self.world.client).patience(Duration::from_secs(3));
        if let Err(error) = client.bulk(&format!("{}:{PORT}", way.vip()), BYTES) {
            println!("{}: {error:#}", way.name());
            return false;
        }
        let socket = format!("{}:{PORT}", way.vip());
        let ended = || {
            let shown = self.director().sh("ipvsadm -Lnc").expect("ipvsadm");
            let open = |line: &str| line.contains(&socket) && line.contains("ESTABLISHED");
            (!shown.lines().any(open)).then_some(()).ok_or(shown)
        };
        // Or wlc counts the dead for a quarter of an hour.
        wait_for(&format!("{} has seen the end", way.name()), Duration::from_secs(5), ended);
        true
    }
}

/// What serves beside a firewall: alone, with all others, and with what its row of the table says is to be added.
#[track_caller]
fn beside(firewall: &Firewall, as_it_is: &[Way]) {
    let (mut ground, standing) = Ground::new(Some(firewall));
    let director = ground.director().clone();
    let rules = director.sh("nft list ruleset; iptables-legacy-save 2>/dev/null");
    println!("{}", rules.expect("rules"));
    ground.apply(&[Direct]);
    let alone = ground.served();
    assert_eq!(alone, if as_it_is.contains(&Direct) { vec![Direct] } else { vec![] }, "alone");
    ground.apply(&WAYS);
    assert_eq!(ground.served(), as_it_is, "as it is");
    if let Some(accept) = firewall.accept {
        director.sh(accept).unwrap_or_else(|error| panic!("{accept}: {error:#}"));
        assert_eq!(ground.served(), WAYS, "after {accept}");
    } else {
        assert_eq!(as_it_is, WAYS);
    }
    drop(standing);
}

fn guest() -> Guest {
    Guest::kernel().virtual_time().limit(Duration::from_secs(400))
}

#[test]
fn dockers_policy() {
    in_guest(guest(), || beside(&install::DOCKER, &[Direct, Tunnel]));
}

#[test]
fn dockers_policy_in_the_legacy_tables() {
    in_guest(guest(), || beside(&install::DOCKER_LEGACY, &[Direct, Tunnel]));
}

#[test]
fn ufw() {
    in_guest(guest(), || beside(&install::UFW, &WAYS));
}

#[test]
fn firewalld() {
    in_guest(guest(), || beside(&install::FIREWALLD, &WAYS));
}

#[test]
fn debians_workstation_sample() {
    in_guest(guest(), || beside(&install::WORKSTATION, &[]));
}

#[test]
fn rules_that_accept_new_connections_alone() {
    in_guest(guest(), || beside(&install::CLASSIC, &[Nat, Masqueraded]));
}

#[test]
fn kube_proxy_with_iptables() {
    in_guest(guest(), || beside(&install::KUBE_PROXY, &WAYS));
}
