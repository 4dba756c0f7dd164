//! What an API server says of real servers that die, flap, or are seen by one director alone.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lvs_crds::{LVSNode, RealServer, VirtualService};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};
use lvs_tests::traffic::Server;

const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    cluster: Cluster,
    servers: Vec<Node>,
    programs: Vec<Option<Server>>,
}

impl Shop {
    #[track_caller]
    fn open() -> Shop {
        let lan = Link::new("lan");
        let machine = |name: &str, host: u8| {
            Node::new(name).on(&lan, "eth0", &format!("192.168.0.{host}/24"))
        };
        let directors = [machine("lvs1", 1), machine("lvs2", 2)];
        let quiet = |node: Node| {
            let node = node.sysctl("net.ipv4.conf.all.arp_ignore", "1");
            let node = node.sysctl("net.ipv4.conf.all.arp_announce", "2");
            node.ip("addr add 192.168.0.10/32 dev lo");
            node
        };
        let servers = vec![quiet(machine("rs1", 101)), quiet(machine("rs2", 102))];
        let mut cluster = Cluster::start();
        for node in &directors {
            cluster.add_director(node);
        }
        let mut shop = Shop { cluster, servers, programs: vec![None, None] };
        shop.start(0);
        shop.start(1);
        let check = "healthCheck: {tcp: {}}";
        let mut objects = vec![
            director_group("default", ""),
            virtual_service("web", &format!("addresses: [192.168.0.10], {check}")),
        ];
        objects.extend((1..=2).map(|it| {
            real_server(&format!("web-{it}"), "web", &format!("address: 192.168.0.{}", 100 + it))
        }));
        shop.cluster.apply(&objects.join("---\n"));
        shop
    }

    fn start(&mut self, index: usize) {
        let node = &self.servers[index];
        self.programs[index] = Some(Server::tcp(node, "0.0.0.0:80", node.name()));
    }

    fn stop(&mut self, index: usize) {
        self.programs[index] = None;
    }

    fn conditions(&self, server: Option<usize>) -> Vec<Condition> {
        let conditions = match server {
            Some(index) => {
                let name = format!("web-{}", index + 1);
                let object: anyhow::Result<RealServer> = self.cluster.plane.get("default", &name);
                object.ok().and_then(|it| it.status).map(|it| it.conditions)
            }
            None => self.service().status.map(|it| it.conditions),
        };
        conditions.unwrap_or_default()
    }

    #[track_caller]
    fn service(&self) -> VirtualService {
        self.cluster.plane.get("default", "web").unwrap_or_else(|e| panic!("{e:#}"))
    }

    /// Waits until the real server, or the service, has a condition whose message contains `part`.
    #[track_caller]
    fn says(&self, server: Option<usize>, [type_, status, reason, part]: [&str; 4]) -> String {
        let what = format!("{server:?} is {type_}={status}, {reason}: ..{part}..");
        let read = || self.conditions(server).into_iter().find(|it| it.type_ == type_);
        let wanted = |found: &Option<Condition>| {
            found.as_ref().is_some_and(|it| {
                it.status == status && it.reason == reason && it.message.contains(part)
            })
        };
        eventually(&what, PATIENCE, read, wanted).map(|it| it.message).unwrap_or_default()
    }

    /// The notes of events with a reason about an object.
    #[track_caller]
    fn events(&self, object: &str, reason: &str) -> Vec<String> {
        let selector = format!("involvedObject.name={object},reason={reason}");
        let words =
            format!("get events --field-selector {selector} -o jsonpath={{.items[*].message}}");
        let text = self.cluster.kubectl(&words).unwrap_or_else(|e| panic!("{e:#}"));
        text.split("Healthy is ")
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn healthy(&self) -> Option<(i32, i32)> {
        self.service().status?.real_servers.map(|it| (it.healthy, it.total))
    }

    #[track_caller]
    fn counts(&self, wanted: (i32, i32)) {
        eventually("healthy of all", PATIENCE, || self.healthy(), |it| *it == Some(wanted));
    }
}

#[test]
fn an_api_server_tells_who_is_dead_who_flaps_and_where_directors_differ() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(400));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut shop = Shop::open();
        shop.says(None, ["Available", "True", "Available", ""]);
        for name in ["web-1", "web-2"] {
            shop.cluster
                .kubectl(&format!("wait --for=condition=Healthy lvsrs/{name} --timeout=20s"))?;
        }
        shop.counts((2, 2));
        one_death_is_told_once(&mut shop);
        with_all_dead_it_is_not_available(&mut shop);
        directors_that_differ_are_named(&mut shop)?;
        flapping_is_no_flood(&mut shop)?;
        Ok(())
    });
}

fn one_death_is_told_once(shop: &mut Shop) {
    let since = Instant::now();
    shop.stop(1);
    let told =
        shop.says(Some(1), ["Healthy", "False", "ProbeFailed", "connection refused, 3 of 3"]);
    println!("Healthy=False after {:?}: {told}", since.elapsed());
    shop.says(Some(1), ["Healthy", "False", "ProbeFailed", "VirtualService web, by lvs1, lvs2"]);
    shop.says(
        None,
        ["Degraded", "True", "RealServerDown", "RealServer web-2 is down: connection refused"],
    );
    shop.says(None, ["Available", "True", "Available", ""]);
    shop.counts((1, 2));
    shop.start(1);
    shop.says(Some(1), ["Healthy", "True", "Healthy", ""]);
    shop.says(None, ["Degraded", "False", "AsExpected", ""]);
    shop.counts((2, 2));
    sleep(Duration::from_secs(2));
    assert_eq!(shop.events("web-2", "ProbeFailed").len(), 1, "one a transition");
    assert_eq!(shop.events("web-2", "Healthy").len(), 1);
    assert_eq!(
        shop.events("web-1", "Healthy").len(),
        0,
        "that it was well from the start is no news"
    );
}

fn with_all_dead_it_is_not_available(shop: &mut Shop) {
    shop.stop(0);
    shop.stop(1);
    shop.says(None, ["Available", "False", "NoHealthyRealServers", "web-1 (connection refused"]);
    shop.says(None, ["Ready", "False", "NoHealthyRealServers", ""]);
    shop.counts((0, 2));
    shop.start(0);
    shop.start(1);
    shop.says(None, ["Available", "True", "Available", ""]);
    shop.counts((2, 2));
}

fn directors_that_differ_are_named(shop: &mut Shop) -> anyhow::Result<()> {
    let since = Instant::now();
    shop.servers[0].sh(
        "nft 'add table ip half; add chain ip half c { type filter hook input priority 0; }; \
         add rule ip half c ip saddr 192.168.0.1 ip daddr 192.168.0.101 tcp dport 80 drop'",
    )?;
    let told = shop.says(
        None,
        ["Degraded", "True", "ViewsDiffer", "down for lvs1 (no connection within 200 ms"],
    );
    assert!(told.contains("and up for lvs2"), "{told}");
    println!("ViewsDiffer after {:?}", since.elapsed());
    assert!(since.elapsed() >= Duration::from_secs(5), "only what lasts: {:?}", since.elapsed());
    shop.says(Some(0), ["Healthy", "Unknown", "ViewsDiffer", "down for lvs1"]);
    shop.servers[0].sh("nft delete table ip half")?;
    shop.says(Some(0), ["Healthy", "True", "Healthy", ""]);
    shop.says(None, ["Degraded", "False", "AsExpected", ""]);
    Ok(())
}

fn flapping_is_no_flood(shop: &mut Shop) -> anyhow::Result<()> {
    const TIME: Duration = Duration::from_secs(20);
    let fast = r#"{"tcp": {}, "intervalMilliseconds": 50, "timeoutMilliseconds": 50, "rise": 1, "fall": 1}"#;
    let patch = format!(r#"[{{"op": "replace", "path": "/spec/healthCheck", "value": {fast}}}]"#);
    shop.cluster.patch("lvsvs/web", &patch);
    sleep(Duration::from_secs(3));
    let start = Instant::now();
    let (mut services, mut servers, mut nodes) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    while start.elapsed() < TIME {
        if shop.programs[1].is_some() {
            shop.stop(1);
        } else {
            shop.start(1);
        }
        sleep(Duration::from_millis(100));
        services.insert(shop.service().metadata.resource_version);
        let server: RealServer = shop.cluster.plane.get("default", "web-2")?;
        servers.insert(server.metadata.resource_version);
        let node: LVSNode = shop.cluster.plane.get_cluster("lvs1")?;
        nodes.insert(node.metadata.resource_version);
    }
    let writes = (services.len() - 1, servers.len() - 1, nodes.len() - 1);
    println!("flapping for {TIME:?}: writes of the service, the server, a director: {writes:?}");
    let most = 1 + TIME.as_secs() as usize;
    assert!(writes.0 <= most && writes.1 <= most && writes.2 <= most, "{writes:?}");
    assert!(writes.1 > 0, "it flapped");
    Ok(())
}
