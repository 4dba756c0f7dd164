//! A whole Kubernetes cluster in one guest: the control plane with all its controllers, and nodes with kubelet,
//! containerd, runc, a pod network and kube-proxy. In real time only: starting pods hangs in virtual time.
//!
//! ```no_run
//! # use lvs_tests::bed::{Guest, in_guest};
//! # use lvs_tests::kubernetes::Kubernetes;
//! in_guest(Guest::cluster(), || -> anyhow::Result<()> {
//!     let cluster = Kubernetes::start(3);
//!     cluster.import_images()?;
//!     println!("{}", cluster.plane.kubectl(&["get", "nodes"])?);
//!     Ok(())
//! });
//! ```
//! Everybody is on one network, 10.70.0.0/24: the API server at .1, the nodes `node1` ... at .11 and up on `eth0`. Behind the nodes,
//! on `eth1`, is 10.80.0.0/24.

mod machine;
mod pods;
pub mod shop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::coordination::v1::Lease;

use crate::control_plane::{ADDRESS, ControlPlane};
use crate::net::{Daemon, Link, Node};
use crate::wait_for;
pub use machine::{Machine, ProxyMode};
pub use pods::{TEST_IMAGE, pack_busybox};

/// The folder of kubelet, containerd and the others, in a guest that has them.
pub(crate) const PROGRAMS: &str = "BED_CLUSTER";
/// The folder of the images' archives.
pub(crate) const IMAGES: &str = "BED_IMAGES";
/// The folder of the version before, in a guest that has it.
pub(crate) const PREVIOUS: &str = "BED_PREVIOUS";
/// What the nodes are given to start with.
const FOLDER: &str = "/tmp/nodes";
/// How long anything here may take; in real time [`wait_for`] gives a busy machine a multiple of it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked of each node when a test has failed.
const NETWORK: &[&str] = &[
    "ping -c 1 -W 1 10.70.0.1; ping -c 1 -W 1 10.70.0.11; ping -c 1 -W 1 10.70.0.12; ping -c 1 -W 1 10.70.0.13",
    "ip address; ip neigh; ip route show table all",
    "ipvsadm -L -n; ipvsadm -L --daemon",
    "nft list ruleset",
    "sysctl -a -r 'net.ipv4.(conf|vs|ip_)'",
    "nstat -az",
    "ss -tanp",
];

/// A running cluster.
pub struct Kubernetes {
    /// Its API server, and with it kubectl and all that handles objects.
    pub plane: ControlPlane,
    /// Its nodes.
    pub machines: Vec<Machine>,
    /// Behind them: what is here leaves it through one of them.
    pub inside: Link,
    images: PathBuf,
    _controllers: [Daemon; 2],
}

impl Kubernetes {
    /// Starts it with so many nodes, and waits until all are ready. kube-proxy runs on each, with nftables.
    ///
    /// # Panics
    /// When the guest is not a [`crate::bed::Guest::cluster`], or a part does not start.
    #[track_caller]
    pub fn start(count: usize) -> Kubernetes {
        Kubernetes::try_start(count).unwrap_or_else(|error| panic!("cluster: {error:#}"))
    }

    fn try_start(count: usize) -> anyhow::Result<Kubernetes> {
        let (programs, images) = (folder(PROGRAMS)?, folder(IMAGES)?);
        fs::create_dir_all(FOLDER)?;
        pods::write_test_image(Path::new(FOLDER))?;
        machine::write_files(Path::new(FOLDER), &programs, count)?;

        let names: Vec<_> = (1..=count).map(|number| format!("node{number}")).collect();
        // The containers' daemons start while the API server does.
        let (net, inside) = (Link::new("mgmt"), Link::new("inside"));
        let mut machines = Vec::new();
        for (number, name) in (1..).zip(&names) {
            machines.push(Machine::start(name, number, [&net, &inside], &programs)?);
        }
        let plane = ControlPlane::start_whole(net, &names)?;
        // Pods of one node reach those of another, and the API server all of them.
        let here = Node::here();
        here.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        let route =
            |machine: &Machine| format!("route add {} via {}", machine.pods, machine.address);
        here.ip(&machines.iter().map(route).collect::<Vec<_>>().join("\n"));

        let kubeconfig = plane.kubeconfig().to_owned();
        let controller = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args(["--leader-elect=false", "--profiling=false"]);
            command
        };
        let controllers = [
            here.spawn(
                controller("kube-controller-manager")
                    .arg(format!("--service-account-private-key-file={}", plane.signing_key()))
                    .arg(format!("--root-ca-file={}", plane.certificate())),
            ),
            here.spawn(&mut controller("kube-scheduler")),
        ];
        for machine in &mut machines {
            machine.start_kubelet(&plane)?;
            machine.start_proxy(&plane, ProxyMode::Nftables)?;
        }
        let cluster = Kubernetes { plane, machines, inside, images, _controllers: controllers };
        for machine in &cluster.machines {
            cluster.wait_until_ready(machine);
        }
        Ok(cluster)
    }

    /// The node of this number, from 1.
    #[track_caller]
    pub fn machine(&self, number: usize) -> &Machine {
        self.machines.get(number - 1).unwrap_or_else(|| panic!("no node {number}"))
    }

    /// Waits until kubelet says that a node takes pods.
    #[track_caller]
    pub fn wait_until_ready(&self, machine: &Machine) {
        let name = machine.node.name();
        wait_for(&format!("{name} is ready"), PATIENCE, || {
            machine.assert_alive();
            let node: k8s_openapi::api::core::v1::Node = self.plane.get_cluster(name)?;
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            ensure!(ready, "{conditions:?}");
            anyhow::Ok(())
        });
    }

    /// Waits until a kubelet that has just been started has renewed its node's lease.
    pub fn wait_until_renewed(&self, machine: &Machine) -> anyhow::Result<()> {
        let name = machine.node.name();
        let renewed = || -> anyhow::Result<_> {
            let lease: Lease = self.plane.get("kube-node-lease", name)?;
            lease.spec.and_then(|spec| spec.renew_time).context("no renewTime")
        };
        let last = renewed()?;
        wait_for(&format!("kubelet of {name} renews its lease"), PATIENCE, || {
            machine.assert_alive();
            let now = renewed()?;
            ensure!(now != last, "{now:?}");
            anyhow::Ok(())
        });
        Ok(())
    }

    /// Gives all nodes the images that `make images` has made.
    pub fn import_images(&self) -> anyhow::Result<()> {
        self.import_all(&self.images)
    }

    /// Gives all nodes the images of the version before, whose tag is `previous`, and returns the folder of its chart.
    ///
    /// # Errors
    /// When the guest is not a [`crate::bed::Guest::with_previous`].
    pub fn import_previous(&self) -> anyhow::Result<PathBuf> {
        let previous = folder(PREVIOUS)?;
        self.import_all(&previous)?;
        Ok(previous.join("chart"))
    }

    fn import_all(&self, folder: &Path) -> anyhow::Result<()> {
        for image in ["lvs-agent.tar", "lvs-operator.tar"] {
            let archive = folder.join(image);
            self.machines.iter().try_for_each(|machine| machine.import(&archive))?;
        }
        Ok(())
    }

    /// Runs the real helm with all rights and returns what it prints; words as a shell would split them.
    ///
    /// # Errors
    /// With what it says on stderr.
    pub fn helm(&self, words: &str) -> anyhow::Result<String> {
        let helm = self.plane.programs().join("helm");
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("exec \"$HELM\" {words}")])
            .env("HELM", &helm)
            .env("KUBECONFIG", self.plane.kubeconfig())
            .env("HELM_CACHE_HOME", "/tmp/helm")
            .env("HELM_CONFIG_HOME", "/tmp/helm")
            .env("HELM_DATA_HOME", "/tmp/helm")
            .output()
            .with_context(|| format!("cannot run {}", helm.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "helm {words}: {}", said.trim_end());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What is said of a failure: events, and the last words of all pods of ours.
    fn explain(&self) {
        let asked = ["get events --all-namespaces --sort-by=.lastTimestamp", "get lvsnode -o yaml"];
        for words in asked {
            let words: Vec<_> = words.split(' ').collect();
            println!("--- kubectl {words:?}\n{:?}", self.plane.kubectl(&words));
        }
        for machine in &self.machines {
            let said = machine.sh("tail -n 60 /var/log/pods/kube-lvs_*/*/*.log");
            println!("--- {}\n{}", machine.node.name(), said.unwrap_or_else(|e| format!("{e:#}")));
        }
        // Whether they reach each other, and how they would.
        let here = Node::here();
        for node in self.machines.iter().map(|machine| &machine.node).chain([&here]) {
            for words in NETWORK {
                let said = node.sh(&format!("{words} 2>&1 || true"));
                println!("--- {}: {words}\n{}", node.name(), said.unwrap_or_default());
            }
        }
    }

    /// The API server's URL, as pods and programs outside may reach it without kube-proxy.
    pub fn server(&self) -> (&'static str, u16) {
        (ADDRESS, 6443)
    }
}

fn folder(variable: &str) -> anyhow::Result<PathBuf> {
    let set = std::env::var_os(variable).map(PathBuf::from);
    set.with_context(|| format!("{variable} is not set: in_guest(Guest::cluster(), ..)"))
}

impl Drop for Kubernetes {
    /// What pods have said ends with the guest.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.explain();
        }
    }
}
