//! For each kind of change: how many requests the agents make to their kernels, and that it is as many in a table of
//! any size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Standalone, director_group, real_server, virtual_service};
use lvs_tests::wait_for;

/// Requests by kind, where there were any: `ipvs`, `nftables` ...
type Requests = BTreeMap<&'static str, u32>;

/// The kinds of `lvs_agent_kernel_requests`.
const KINDS: [&str; 7] = ["ipvs", "nftables", "route", "link", "rule", "sysctl", "table_read"];
/// From a change of the manifests to both kernels programmed, in virtual time.
const SETTLED: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
/// The real servers of each service beside.
const STANDING: u8 = 5;

/// What is rewritten of the one service, its real servers and their group.
enum Change {
    /// The VirtualService's spec.
    Service(&'static str),
    /// The RealServers' specs.
    Servers(&'static [&'static str]),
    /// The DirectorGroup's spec.
    Group(&'static str),
}
use Change::{Group, Servers, Service};

/// What is done, and the most that it may ask of the director's kernel and of the real server's.
type Step = (&'static str, Change, &'static [(&'static str, u32)], &'static [(&'static str, u32)]);

/// With ipvs it is mostly one request for the change, and two to read back the service and its destinations; with nftables
/// the messages of a transaction, and one for each of its elements to read it back.
const STEPS: &[Step] = &[
    (
        "weight",
        Servers(&["address: 10.0.1.11, weight: 7", "address: 10.0.1.12"]),
        &[("ipvs", 3)],
        &[],
    ),
    ("one real server more", Servers(&[ONE, TWO, "address: 10.0.1.13"]), &[("ipvs", 4)], &[]),
    ("one real server less", Servers(&[ONE, TWO]), &[("ipvs", 3)], &[]),
    (
        "threshold set",
        Servers(&[ONE, "address: 10.0.1.12, upperThreshold: 100"]),
        &[("ipvs", 3)],
        &[],
    ),
    ("threshold taken away", Servers(&[ONE, TWO]), &[("ipvs", 3)], &[]),
    ("scheduler", Service("scheduler: mh"), &[("ipvs", 3)], &[]),
    (
        "scheduler flags",
        Service("scheduler: mh, schedulerFlags: [mhFallback]"),
        &[("ipvs", 3)],
        &[],
    ),
    ("persistence on", Service("persistence: {}"), &[("ipvs", 3)], &[]),
    ("netmask", Service("persistence: {ipv4Netmask: 255.255.255.0}"), &[("ipvs", 3)], &[]),
    ("persistence off", Service("scheduler: wlc"), &[("ipvs", 3)], &[]),
    ("mark added", Service("firewallMark: {}"), &[("ipvs", 8), ("nftables", 27)], &[]),
    (
        "the mark's range",
        Service("firewallMark: {}, ports: [{port: 80, endPort: 90}]"),
        &[("nftables", 33)],
        &[],
    ),
    (
        "the mark's number",
        Service("firewallMark: {mark: 7000}, ports: [{port: 80, endPort: 90}]"),
        &[("ipvs", 8), ("nftables", 28)],
        &[],
    ),
    ("mark taken away", Service("scheduler: wlc"), &[("ipvs", 8), ("nftables", 35)], &[]),
    (
        "a real server by NAT",
        Servers(&["address: 10.0.1.11, forwarding: NAT", TWO]),
        &[("ipvs", 3), ("nftables", 4)],
        &[],
    ),
    ("masquerade on", Service("nat: {masquerade: true}"), &[("nftables", 27)], &[]),
    ("masquerade off", Service("nat: {masquerade: false}"), &[("nftables", 15)], &[]),
    ("timeouts", Group("timeouts: {tcp: 800}"), &[("ipvs", 4)], &[]),
    ("sysctl", Group("timeouts: {tcp: 800}, sysctls: {sloppyTcp: true}"), &[("sysctl", 4)], &[]),
    (
        "a real server by TUN",
        Servers(&[ONE, TWO, NODE]),
        &[("ipvs", 4), ("nftables", 23)],
        &[("nftables", 22), ("link", 30), ("route", 50)],
    ),
    (
        "tunnel type",
        Service("tunnel: {type: gue}"),
        &[("ipvs", 3)],
        &[("nftables", 28), ("link", 30), ("route", 50)],
    ),
    (
        "without tunnel",
        Servers(&[ONE, TWO]),
        &[("ipvs", 3)],
        &[("nftables", 4), ("link", 30), ("route", 50)],
    ),
];
const ONE: &str = "address: 10.0.1.11";
const TWO: &str = "address: 10.0.1.12";
/// The real server with an agent.
const NODE_ADDRESS: &str = "10.0.0.101";
const NODE: &str = "address: 10.0.0.101, forwarding: TUN";

#[test]
fn a_change_costs_as_many_requests_in_a_large_table_as_in_a_small_one() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(500));
    in_guest(guest, || -> anyhow::Result<()> {
        let [small, large] = [20, 100].map(|services| {
            let mut machines = Machines::new(services);
            STEPS.iter().map(|(what, change, ..)| machines.make(what, change)).collect::<Vec<_>>()
        });
        let mut wrong = String::new();
        for (((what, _, director, server), small), large) in STEPS.iter().zip(small).zip(large) {
            println!("{what:22} director: {}; real server: {}", shown(&large[0]), shown(&large[1]));
            if small.each_ref().map(counted) != large.each_ref().map(counted) {
                let _ =
                    writeln!(wrong, "{what}: {small:?} beside 20 services, {large:?} beside 100");
            }
            for (where_, most, spent) in
                [("director", director, &large[0]), ("real server", server, &large[1])]
            {
                let most: Requests = most.iter().copied().collect();
                if spent.iter().any(|(kind, count)| *count > most.get(kind).copied().unwrap_or(0)) {
                    let _ =
                        writeln!(wrong, "{what}: {spent:?} on the {where_}, not at most {most:?}");
                }
            }
        }
        anyhow::ensure!(wrong.is_empty(), "\n{wrong}");
        Ok(())
    });
}

/// Without what the agent looks at when the kernel tells of new interfaces, addresses and routes: it does so once or
/// several times, as the news happen to come. Only the bound holds for it.
fn counted(requests: &Requests) -> Requests {
    let mut requests = requests.clone();
    requests.retain(|kind, _| !matches!(*kind, "route" | "link" | "rule"));
    requests
}

fn shown(requests: &Requests) -> String {
    let all: Vec<String> = requests.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// A director and one of its real servers, each with an agent.
struct Machines {
    agents: [Standalone; 2],
    /// The DirectorGroup's spec: whose it is, and the rest.
    group: [String; 2],
    service: String,
    servers: Vec<String>,
}

impl Machines {
    /// With so many services of [`STANDING`] real servers at one VIP, a third of them with a mark and a third by NAT with
    /// masquerade; and one service at another VIP.
    fn new(services: u16) -> Machines {
        let lan = Link::new(&format!("lan{services}"));
        let director = Node::new(&format!("director{services}")).on(&lan, "eth0", "10.0.0.1/16");
        let server = Node::new(&format!("server{services}")).on(&lan, "eth0", "10.0.0.101/16");
        // The audit's own requests would be counted too.
        let start = |node| Standalone::start_with(node, &["--audit-interval", "60m"]);
        let hostname = format!("kubernetes.io/hostname: {}", director.name());
        let machines = Machines {
            agents: [start(&director), start(&server)],
            group: [
                format!("nodeSelector: {{matchLabels: {{{hostname}}}}}"),
                "networks: []".to_owned(),
            ],
            service: "scheduler: wlc".to_owned(),
            servers: vec![ONE.to_owned(), TWO.to_owned()],
        };
        let beside = beside(services);
        for agent in &machines.agents {
            agent.put("beside.yaml", &beside);
        }
        machines.put();
        let size = || machines.agents[0].metric("lvs_agent_objects", "destinations");
        let wanted = f64::from(services) * f64::from(STANDING) + 2.0;
        wait_for("all is programmed", PATIENCE, || match size() {
            size if (size - wanted).abs() < 0.5 => Ok(()),
            size => Err((size, wanted)),
        });
        sleep(SETTLED);
        machines
    }

    /// What it costs on the director and on the real server.
    fn make(&mut self, what: &str, change: &Change) -> [Requests; 2] {
        let before = self.requests();
        match change {
            Service(spec) => (*spec).clone_into(&mut self.service),
            Servers(specs) => self.servers = specs.iter().map(|&spec| spec.to_owned()).collect(),
            Group(spec) => (*spec).clone_into(&mut self.group[1]),
        }
        self.put();
        sleep(SETTLED);
        for agent in &self.agents {
            // Not from the status file: one of so many services takes long to read.
            let failures = agent.metric("lvs_agent_failures ", "");
            assert!(failures.abs() < 0.5, "{what}: {failures} failures");
        }
        let after = self.requests();
        let spent = [0, 1].map(|agent| {
            let spent = KINDS.iter().map(|kind| (*kind, after[agent][kind] - before[agent][kind]));
            spent.filter(|(_, count)| *count > 0).collect::<Requests>()
        });
        assert!(!spent[0].is_empty(), "{what} did nothing on the director");
        spent
    }
    fn put(&self) {
        let mut text = director_group("default", &self.group.join(", "));
        let own = virtual_service("own", &format!("addresses: [10.0.0.11], {}", self.service));
        text.push_str(&format!("---\n{own}"));
        for (number, spec) in self.servers.iter().enumerate() {
            text.push_str(&format!("---\n{}", real_server(&format!("own-{number}"), "own", spec)));
        }
        for agent in &self.agents {
            agent.put("own.yaml", &text);
        }
    }

    fn requests(&self) -> [Requests; 2] {
        [0, 1].map(|agent| {
            let agent: &Standalone = &self.agents[agent];
            let count =
                |kind| agent.metric("lvs_agent_kernel_requests_total", &format!("\"{kind}\""));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small counter
            KINDS.iter().map(|kind| (*kind, count(kind) as u32)).collect()
        })
    }
}

/// The standing services and their real servers, of which the first is the machine with an agent.
fn beside(services: u16) -> String {
    let mut text = String::new();
    for number in 0..services {
        let how = ["scheduler: rr", "firewallMark: {}", "forwarding: NAT, nat: {masquerade: true}"];
        let spec = format!(
            "addresses: [10.0.0.10], ports: [{{port: {}}}], {}",
            1000 + number,
            how[usize::from(number) % how.len()]
        );
        let service = virtual_service(&format!("vs{number}"), &spec);
        text.push_str(&format!(
            "---\n{}",
            service.replace(&format!("app: vs{number}"), "app: web")
        ));
    }
    for number in 1..=STANDING {
        let address =
            if number == 1 { NODE_ADDRESS.to_owned() } else { format!("10.0.1.{number}") };
        text.push_str(&format!(
            "---\n{}",
            real_server(&format!("rs{number}"), "web", &format!("address: {address}"))
        ));
    }
    text
}
