use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lvs_crds::{DirectorGroup, DirectorRole, LVSNode, VirtualService};
use lvs_resolve::spread::{Floating, Spread};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, holders, real_server, virtual_service};
use lvs_tests::table::NodeState;
use lvs_tests::traffic::{Probe, Server, longest_silence};

/// What the default profile promises.
pub(crate) const PROMISE: Duration = Duration::from_millis(300);
/// From a change to its effect.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The group's `preemptDelaySeconds`.
pub(crate) const PREEMPT_DELAY: Duration = Duration::from_secs(2);
/// Between two attempts of a client.
const EVERY: Duration = Duration::from_millis(5);

/// The VIPs of the services `web10` to `web15`.
pub(crate) fn vips() -> impl Iterator<Item = String> {
    (10..16).map(|host| format!("192.168.0.{host}"))
}

/// Three directors and two real servers with agents: `eth0` on the inside, where advertisements go, `eth1` on the outside,
/// where VIPs and clients are. Real servers answer by direct routing.
pub(crate) struct Net {
    pub(crate) cluster: Cluster,
    pub(crate) client: Node,
    /// `lvs1` to `lvs3`.
    pub(crate) nodes: Vec<Node>,
    /// What they were before their agents.
    pub(crate) before: Vec<NodeState>,
    pub(crate) inside: Link,
    _programs: Vec<Server>,
}

/// What clients met.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) longest_gap: Duration,
    pub(crate) lost: usize,
    pub(crate) tried: usize,
}

impl Met {
    #[track_caller]
    pub(crate) fn nothing_lost(&self, what: &str) {
        println!(
            "{what}: longest gap {:?}, {} of {} lost",
            self.longest_gap, self.lost, self.tried
        );
        assert_eq!(self.lost, 0, "{what}: {self:?}");
    }

    #[track_caller]
    pub(crate) fn gap_within(&self, limit: Duration, what: &str) {
        println!(
            "{what}: longest gap {:?}, {} of {} lost",
            self.longest_gap, self.lost, self.tried
        );
        assert!(self.longest_gap <= limit, "{what}: {self:?}");
    }
}

impl Net {
    #[track_caller]
    pub(crate) fn start(group: &str) -> Net {
        let (inside, outside) = (Link::new("inside"), Link::new("outside"));
        let client = Node::new("client").on(&outside, "eth0", "192.168.0.50/24");
        let machine = |name: String, host: usize| {
            Node::new(&name).on(&inside, "eth0", &format!("10.0.0.{host}/24")).on(
                &outside,
                "eth1",
                &format!("192.168.0.{host}/24"),
            )
        };
        let nodes: Vec<Node> = (1..=3).map(|it| machine(format!("lvs{it}"), it)).collect();
        let servers: Vec<Node> = (1..=2).map(|it| machine(format!("rs{it}"), 100 + it)).collect();
        let programs = servers.iter().map(|node| Server::tcp(node, "0.0.0.0:80", node.name()));
        let programs = programs.collect();
        let mut cluster = Cluster::start();
        let before = nodes.iter().map(|node| cluster.add_director(node)).collect();
        servers.iter().for_each(|node| drop(cluster.add_node(node)));
        let net = Net { cluster, client, nodes, before, inside, _programs: programs };
        net.group(group);
        let objects: Vec<String> =
            vips().map(|vip| net.service(&name_of(&vip), &vip, "")).collect();
        net.cluster.apply(&objects.join("---\n"));
        net
    }

    /// Puts this DirectorGroup `default` in place of the one before.
    #[track_caller]
    pub(crate) fn group(&self, spec: &str) {
        let networks = "networks: [{cidr: 192.168.0.0/24, interface: eth1}], ";
        let networks = if spec.contains("networks:") { "" } else { networks };
        self.cluster.apply(&director_group("default", &format!("{networks}{spec}")));
    }

    /// A VirtualService with both real servers.
    pub(crate) fn service(&self, name: &str, vip: &str, spec: &str) -> String {
        let mut objects = vec![virtual_service(name, &format!("addresses: [{vip}], {spec}"))];
        objects.extend((1..=2).map(|it| {
            real_server(&format!("{name}-{it}"), name, &format!("address: 10.0.0.{}", 100 + it))
        }));
        objects.join("---\n")
    }

    #[track_caller]
    pub(crate) fn forget(&self, name: &str) {
        for object in [
            format!("lvsvs/{name}"),
            format!("realserver/{name}-1"),
            format!("realserver/{name}-2"),
        ] {
            self.cluster.delete(&object);
        }
    }

    /// Each VIP is at its home, and every status says so.
    #[track_caller]
    pub(crate) fn all_is_well(&self) {
        let vips: Vec<String> = vips().collect();
        let homes = || vips.iter().map(|vip| self.home(vip)).collect::<Vec<_>>();
        let found = || vips.iter().map(|vip| self.holders(vip)).collect::<Vec<_>>();
        let wanted = |(homes, found): &(Vec<Option<usize>>, Vec<Vec<usize>>)| {
            homes.iter().zip(found).all(|(home, found)| home.is_some_and(|home| *found == [home]))
        };
        eventually("each VIP is at its home", PATIENCE, || (homes(), found()), wanted);
        for vip in &vips {
            for type_ in ["Programmed", "Available"] {
                self.service_says(&name_of(vip), type_, "True", type_, "");
            }
            self.service_says(&name_of(vip), "Degraded", "False", "AsExpected", "");
        }
        self.roles_are_true();
        self.group_says(
            "default",
            "Ready",
            "True",
            "Ready",
            "3 directors: lvs1, lvs2, lvs3; all report.",
        );
        self.group_says("default", "Degraded", "False", "AsExpected", "");
        let status = self.director_group("default").status.unwrap_or_default();
        assert_eq!((status.members.len(), status.virtual_routers.len()), (3, 6), "{status:?}");
        assert!(status.presence_id.is_some() && status.sync_id.is_some(), "{status:?}");
        let macs: Vec<bool> = status.members.iter().map(|member| member.macs.is_empty()).collect();
        assert_eq!(macs, [false; 3], "{status:?}");
    }

    /// Statuses name who has each VIP, by `ip addr`.
    #[track_caller]
    pub(crate) fn roles_are_true(&self) {
        let state = || {
            let services: Vec<VirtualService> = self.cluster.plane.list().expect("VirtualServices");
            let of = |service: &VirtualService| {
                let vip = &service.spec.addresses[0];
                let held = self.holders(vip).into_iter().map(|it| self.nodes[it].name().to_owned());
                (vip.clone(), held.collect::<Vec<_>>(), roles(service))
            };
            services.iter().map(of).collect::<Vec<_>>()
        };
        let names: BTreeSet<&str> = self.nodes.iter().map(Node::name).collect();
        let is_true = |all: &Vec<(String, Vec<String>, BTreeMap<String, DirectorRole>)>| {
            all.iter().all(|(_, held, roles)| {
                let active = roles.iter().filter(|(_, role)| **role == DirectorRole::Active);
                let active: Vec<String> = active.map(|(node, _)| node.clone()).collect();
                active == *held
                    && held.len() == 1
                    && roles.keys().all(|it| names.contains(it.as_str()))
            })
        };
        eventually("statuses name the director that has each VIP", PATIENCE, state, is_true);
    }

    pub(crate) fn holders(&self, vip: &str) -> Vec<usize> {
        holders(&self.nodes, vip)
    }

    #[track_caller]
    pub(crate) fn holder(&self, vip: &str) -> usize {
        let what = format!("one director has {vip}");
        eventually(&what, PATIENCE, || self.holders(vip), |holders| holders.len() == 1)[0]
    }

    /// The VIPs at a director.
    pub(crate) fn vips_of(&self, director: usize) -> Vec<String> {
        vips().filter(|vip| self.holders(vip) == [director]).collect()
    }

    /// Where a VIP belongs by the group's status: its home among `nodes`.
    pub(crate) fn home(&self, vip: &str) -> Option<usize> {
        let group = self.director_group("default");
        let vip: IpAddr = vip.parse().expect("an address");
        let spread = Spread::new(&group)?;
        let router = spread.router_of(Floating::Vip(vip))?;
        let home = *spread.order(router).first()?;
        self.nodes.iter().position(|node| node.name() == home)
    }

    /// The id of a VIP's virtual router.
    #[track_caller]
    pub(crate) fn router(&self, vip: &str) -> i32 {
        let group = self.director_group("default");
        let spread = Spread::new(&group).expect("virtual routers");
        spread.router_of(Floating::Vip(vip.parse().expect("an address"))).expect("a router").id
    }

    #[track_caller]
    pub(crate) fn director_group(&self, name: &str) -> DirectorGroup {
        self.cluster.plane.get_cluster(name).unwrap_or_else(|e| panic!("{name}: {e:#}"))
    }

    #[track_caller]
    pub(crate) fn virtual_service(&self, name: &str) -> VirtualService {
        self.cluster.plane.get("default", name).unwrap_or_else(|e| panic!("{name}: {e:#}"))
    }

    #[track_caller]
    pub(crate) fn lvs_node(&self, director: usize) -> LVSNode {
        let name = self.nodes[director].name();
        self.cluster.plane.get_cluster(name).unwrap_or_else(|e| panic!("{name}: {e:#}"))
    }

    /// Waits until a VirtualService has a condition of its generation whose message contains `part`; returns the message.
    #[track_caller]
    pub(crate) fn service_says(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
        part: &str,
    ) -> String {
        let read = || {
            let object = self.virtual_service(name);
            (object.metadata.generation, object.status.unwrap_or_default().conditions)
        };
        says(&format!("VirtualService {name}"), read, [type_, status, reason, part])
    }

    /// The same of a DirectorGroup.
    #[track_caller]
    pub(crate) fn group_says(
        &self,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
        part: &str,
    ) -> String {
        let read = || {
            let object = self.director_group(name);
            (object.metadata.generation, object.status.unwrap_or_default().conditions)
        };
        says(&format!("DirectorGroup {name}"), read, [type_, status, reason, part])
    }

    /// What clients of a VIP meet while something happens, and for a while after it.
    #[track_caller]
    pub(crate) fn under_load(&mut self, vip: &str, event: impl FnOnce(&mut Net)) -> Met {
        let probe = Probe::start(&self.client, &format!("{vip}:80"), EVERY);
        sleep(Duration::from_millis(500));
        let since = Instant::now();
        event(self);
        sleep(Duration::from_secs(2));
        let attempts = probe.end();
        let (begin, end) = longest_silence(&attempts, since).expect("an end of the silence");
        // Those of the last moments may lack their answer.
        let last = attempts.last().map_or(since, |it| it.begun) - PROMISE;
        let met = attempts.iter().filter(|it| it.begun >= since && it.begun < last);
        let (tried, lost) = met.fold((0, 0), |(tried, lost), it| {
            (tried + 1, lost + usize::from(it.answered.is_none()))
        });
        Met { longest_gap: end - begin, lost, tried }
    }

    pub(crate) fn unplug(&self, director: usize) {
        ["eth0", "eth1"].iter().for_each(|interface| self.nodes[director].unplug(interface));
    }

    pub(crate) fn plug(&self, director: usize) {
        ["eth0", "eth1"].iter().for_each(|interface| self.nodes[director].plug(interface));
    }
}

/// The VirtualService of one of [`vips`].
pub(crate) fn name_of(vip: &str) -> String {
    format!("web{}", vip.rsplit('.').next().unwrap_or_default())
}

pub(crate) fn roles(service: &VirtualService) -> BTreeMap<String, DirectorRole> {
    let directors = service.status.iter().flat_map(|status| &status.directors);
    directors.map(|it| (it.node.clone(), it.role)).collect()
}

#[track_caller]
fn says(
    object: &str,
    read: impl Fn() -> (Option<i64>, Vec<Condition>),
    [type_, status, reason, part]: [&str; 4],
) -> String {
    let what = format!("{object} is {type_}={status}, {reason}: ...{part}...");
    let found = || {
        let (generation, conditions) = read();
        let condition = conditions.into_iter().find(|it| it.type_ == type_);
        condition.filter(|it| it.observed_generation == generation)
    };
    let wanted = |condition: &Option<Condition>| {
        condition.as_ref().is_some_and(|it| {
            it.status == status && it.reason == reason && it.message.contains(part)
        })
    };
    eventually(&what, PATIENCE, found, wanted).map(|it| it.message).unwrap_or_default()
}
