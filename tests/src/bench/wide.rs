//! A large table through the API server, and what one change of it costs.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kube::api::{Api, Patch, PatchParams};
use lvs_crds::{RealServer, VirtualServiceSlice};
use lvs_ipvs::{Client, ServiceKey};
use serde_json::json;

use crate::net::{Link, Node};
use crate::scenario::{Cluster, director_group, metric, real_server, virtual_service};
use crate::wait_for;

/// A VirtualService may have so many ports.
const PORTS: u16 = 64;
/// The VirtualService of one port, and of real servers of its own, that is changed.
const NARROW: &str = "narrow";
/// Its VIP.
const VIP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// Of its real servers, the one that changes.
const CHANGED: u8 = 1;
/// Of the DirectorGroup: where the VIPs stand.
pub(super) const NETWORKS: &str = "networks: [{cidr: 10.1.0.0/16, interface: eth0}]";
/// How long a change may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A director with a large table. All services but one share their real servers.
pub struct Wide {
    cluster: Cluster,
    director: Node,
    kernel: Client,
    api: Api<RealServer>,
}

/// From an API change until the kernel has it, in real time.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half of the changes were faster.
    pub p50: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// Half of the API server's answers to the change itself were faster.
    pub answer_p50: Duration,
}

impl Wide {
    /// Has `services` x `real_servers` programmed through the API server; the agent audits once an hour.
    ///
    /// # Errors
    /// When the kernel's table is not that large in the end.
    pub fn program(services: u16, real_servers: u8) -> anyhow::Result<Wide> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.2.0.1/24");
        let mut cluster = Cluster::start_with(&["--audit-interval", "60m"]);
        cluster.add_director(&director);
        cluster.apply(&director_group("default", NETWORKS));
        for number in 1..=real_servers {
            cluster.apply(&wide_real_server(number));
            let narrow = format!("address: 10.2.0.{}", 100 + u16::from(number));
            cluster.apply(&real_server(&name(number), NARROW, &narrow));
        }
        cluster.apply(&virtual_service(NARROW, &format!("addresses: [{VIP}]")));
        for service in wide_services(services.saturating_sub(1))? {
            cluster.apply(&service);
        }
        cluster.kubectl("wait --for=condition=Programmed --timeout=300s virtualservice --all")?;
        let table = director.services();
        let destinations: usize = table.iter().map(|service| service.destinations.len()).sum();
        let wanted = usize::from(services) * usize::from(real_servers);
        ensure!(
            table.len() == usize::from(services) && destinations == wanted,
            "{} services and {destinations} destinations in the kernel",
            table.len()
        );
        let kernel = director.run(Client::open)?;
        let api = Api::default_namespaced(cluster.plane.client());
        Ok(Wide { cluster, director, kernel, api })
    }

    /// Changes the weight of one real server of one service.
    ///
    /// # Errors
    /// The API server's.
    pub fn set_weight(&self, weight: u16) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "weight": weight } }));
        let params = PatchParams::default();
        self.cluster.plane.block_on(self.api.patch(&name(CHANGED), &params, &patch))?;
        Ok(())
    }

    /// Waits until the kernel has it.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait_for_kernel(&mut self, weight: u16) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        let address = Ipv4Addr::new(10, 2, 0, 100 + CHANGED);
        while Instant::now() < end {
            let destinations = self.kernel.destinations(&ServiceKey::tcp(VIP, 80))?;
            let changed = destinations.iter().find(|d| d.destination.key.address == address);
            let changed = changed.context("the real server is not in the table")?;
            if changed.destination.weight == u32::from(weight) {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
        anyhow::bail!("weight {weight} is not in the kernel after {PATIENCE:?}")
    }

    /// Waits until the agent has read the kernel back against the newest slice of the changed service.
    #[track_caller]
    pub fn wait_until_read_back(&self) {
        wait_for("the agent has read back", PATIENCE, || {
            let slice = format!("{NARROW}-0");
            let slice = self.cluster.plane.get::<VirtualServiceSlice>("default", &slice)?;
            let version: f64 = slice.metadata.resource_version.unwrap_or_default().parse()?;
            let read = metric(&self.director, "lvs_agent_programmed_resource_version");
            ensure!(read >= version, "up to {read}, not {version}");
            anyhow::Ok(())
        });
    }

    /// Requests of the agent to the kernel so far, of all kinds: netlink, and reads of /proc.
    #[track_caller]
    pub fn kernel_requests(&self) -> f64 {
        metric(&self.director, "lvs_agent_kernel_requests_total")
    }

    /// Makes changes one after the other, and measures each.
    ///
    /// # Errors
    /// When one does not arrive.
    pub fn measure(&mut self, changes: u16) -> anyhow::Result<Latency> {
        let (mut answers, mut arrivals) = (Vec::new(), Vec::new());
        for number in 1..=changes {
            let weight = 1000 + number;
            let start = Instant::now();
            self.set_weight(weight)?;
            answers.push(start.elapsed());
            self.wait_for_kernel(weight)?;
            arrivals.push(start.elapsed());
        }
        answers.sort();
        arrivals.sort();
        let at = |sorted: &[Duration], percent: usize| {
            sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
        };
        let p50 = at(&arrivals, 50).context("no change was made")?;
        let p99 = at(&arrivals, 99).context("no change was made")?;
        Ok(Latency { p50, p99, answer_p50: at(&answers, 50).context("no change was made")? })
    }
}

fn name(number: u8) -> String {
    format!("{NARROW}-{number}")
}

/// VirtualServices with so many IPVS services in all, whose real servers are labelled `app: wide`.
pub(super) fn wide_services(count: u16) -> anyhow::Result<Vec<String>> {
    let mut manifests = Vec::new();
    let mut rest = count;
    while rest > 0 {
        let ports = rest.min(PORTS);
        rest -= ports;
        let mut list = String::new();
        for port in 1..=ports {
            write!(list, "{{name: p{port}, port: {}}}, ", 8000 + port)?;
        }
        let ([high, low], name) = (rest.to_be_bytes(), format!("wide-{rest}"));
        let spec = format!("addresses: [10.1.{}.{low}], ports: [{list}]", high + 1);
        let manifest = virtual_service(&name, &spec);
        manifests.push(manifest.replace(&format!("app: {name}}}"), "app: wide}"));
    }
    Ok(manifests)
}

/// Real server `number` of each wide service.
pub(super) fn wide_real_server(number: u8) -> String {
    let spec = format!("address: 10.2.0.{}", 100 + u16::from(number));
    real_server(&format!("wide-{number}"), "wide", &spec)
}
