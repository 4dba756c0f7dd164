//! One node: its namespaces, containerd, kubelet, kube-proxy.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, ensure};

use super::{FOLDER, PATIENCE, TEST_IMAGE};
use crate::control_plane::ControlPlane;
use crate::net::{Daemon, Link, Node};
use crate::wait_for;

/// How kube-proxy programs the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyMode {
    /// The choice of new clusters.
    Nftables,
    /// The default.
    Iptables,
    /// IPVS: it deletes each virtual service that it does not know, unless `--ipvs-exclude-cidrs` covers it.
    Ipvs,
}

impl ProxyMode {
    fn name(self) -> &'static str {
        match self {
            ProxyMode::Nftables => "nftables",
            ProxyMode::Iptables => "iptables",
            ProxyMode::Ipvs => "ipvs",
        }
    }
}

/// A node of the cluster.
pub struct Machine {
    /// Its network, with `eth0` on the cluster's, and `eth1` on that of the machines behind it.
    pub node: Node,
    /// Its address.
    pub address: String,
    /// The network of its pods.
    pub pods: String,
    programs: PathBuf,
    containerd: Mutex<Daemon>,
    kubelet: Mutex<Option<Daemon>>,
    proxy: Option<Daemon>,
}

/// Writes what the nodes are started with.
pub(super) fn write_files(folder: &Path, programs: &Path, count: usize) -> anyhow::Result<()> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    fs::write(folder.join("cpuinfo"), format!("{}\ncpu MHz\t\t: 2000.000\n", cpuinfo.trim_end()))?;
    let shown = programs.display();
    fs::write(
        folder.join("containerd.toml"),
        format!(
            r#"version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{TEST_IMAGE}"
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{shown}"]
conf_dir = "/run/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{shown}/runc"
SystemdCgroup = false
"#
        ),
    )?;
    for number in 1..=count {
        let network = serde_json::json!({
            "cniVersion": "1.0.0", "name": "pods",
            "plugins": [{
                "type": "bridge", "bridge": "cni0", "isGateway": true,
                "ipam": {
                    "type": "host-local", "dataDir": "/var/lib/cni",
                    "ranges": [[{ "subnet": pods(number) }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            }],
        });
        fs::write(folder.join(format!("node{number}.conflist")), network.to_string())?;
    }
    // JSON is YAML.
    let kubelet = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/plugins",
        "evictionHard": {
            "memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%",
            "nodefs.inodesFree": "1%", "imagefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": false,
        // The guest has one slow CPU for all of it.
        "serializeImagePulls": true,
    });
    fs::write(folder.join("kubelet.yaml"), kubelet.to_string())?;
    Ok(())
}

fn pods(number: usize) -> String {
    format!("10.244.{number}.0/24")
}

impl Machine {
    pub(super) fn start(
        name: &str,
        number: usize,
        [net, inside]: [&Link; 2],
        programs: &Path,
    ) -> anyhow::Result<Machine> {
        let address = format!("10.70.0.{}", 10 + number);
        let node = Node::new(name)
            .on(net, "eth0", &format!("{address}/24"))
            .on(inside, "eth1", &format!("10.80.0.{}/24", 10 + number))
            .route("default via 10.70.0.1")
            .sysctl("net.ipv4.ip_forward", "1");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bed/node.sh");
        let containerd = node.spawn(
            Command::new("/bin/busybox").arg("sh").arg(script).arg(name).arg(programs).arg(FOLDER),
        );
        Ok(Machine {
            node,
            address,
            pods: pods(number),
            programs: programs.to_owned(),
            containerd: Mutex::new(containerd),
            kubelet: Mutex::new(None),
            proxy: None,
        })
    }

    /// A process in all of the node's namespaces.
    pub fn containerd_pid(&self) -> u32 {
        self.containerd.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pid()
    }

    #[track_caller]
    pub(super) fn assert_alive(&self) {
        let mut containerd = self.containerd.lock().unwrap_or_else(|e| e.into_inner());
        let ended = containerd.ended();
        assert!(ended.is_none(), "containerd has ended ({ended:?}): {}", containerd.log());
        if let Some(kubelet) = self.kubelet.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            let ended = kubelet.ended();
            assert!(ended.is_none(), "kubelet has ended ({ended:?}): {}", kubelet.log());
        }
    }

    /// A path of the node's own files, such as `/var/lib/kube-lvs`, as the test sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.containerd_pid()))
    }

    /// A command in all of the node's namespaces and in its cgroup, for the caller to start with [`Node::spawn`] or
    /// [`Machine::sh`].
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/busybox");
        let join = format!(
            "echo $$ >/sys/fs/cgroup/{}/system/cgroup.procs && \
             exec /usr/bin/nsenter --target {} --mount --uts --cgroup -- \"$@\"",
            self.node.name(),
            self.containerd_pid()
        );
        command.args(["sh", "-c", &join, "join"]).arg(program);
        command
    }

    /// Runs a shell's words on the node, where its own files are, and returns what it prints.
    pub fn sh(&self, words: &str) -> anyhow::Result<String> {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", words]).stdin(std::process::Stdio::null());
        let output = self.node.run(|| command.output())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: `{words}`: {}: {said}",
            self.node.name(),
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Gives the node an image from an OCI archive.
    pub fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let words = format!(
            "'{}/ctr' --namespace k8s.io images import --local '{}'",
            self.programs.display(),
            archive.display()
        );
        self.sh(&words).map(drop)
    }

    /// Starts kubelet, as the node's own user.
    pub fn start_kubelet(&self, plane: &ControlPlane) -> anyhow::Result<()> {
        let socket = self.path("/run/containerd/containerd.sock");
        wait_for(&format!("containerd of {} listens", self.node.name()), PATIENCE, || {
            self.assert_alive();
            UnixStream::connect(&socket)
        });
        if !self.path("/var/lib/kubelet").exists() {
            self.import(&Path::new(FOLDER).join("test.tar"))?;
        }
        let kubeconfig = plane.node_kubeconfig(self.node.name())?;
        let mut command = self.command(&self.programs.join("kubelet"));
        command.arg("--config").arg(Path::new(FOLDER).join("kubelet.yaml"));
        command.arg("--kubeconfig").arg(kubeconfig);
        command.args(["--hostname-override", self.node.name(), "--node-ip", &self.address]);
        let kubelet = self.node.spawn(&mut command);
        *self.kubelet.lock().unwrap_or_else(|e| e.into_inner()) = Some(kubelet);
        Ok(())
    }

    /// SIGKILL for kubelet; its pods go on.
    pub fn kill_kubelet(&self) {
        *self.kubelet.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    /// Ends kube-proxy and starts it in another mode, in which it takes down what it made before.
    pub fn start_proxy(&mut self, plane: &ControlPlane, mode: ProxyMode) -> anyhow::Result<()> {
        self.start_proxy_with(plane, mode, &[])
    }

    /// As [`Machine::start_proxy`], with further arguments.
    pub fn start_proxy_with(
        &mut self,
        plane: &ControlPlane,
        mode: ProxyMode,
        arguments: &[&str],
    ) -> anyhow::Result<()> {
        self.proxy = None;
        let mut command = self.command(&self.programs.join("kube-proxy"));
        command.arg("--kubeconfig").arg(plane.kubeconfig());
        command.args(["--proxy-mode", mode.name(), "--hostname-override", self.node.name()]);
        command.args(["--cluster-cidr", "10.244.0.0/16", "--conntrack-max-per-core", "0"]);
        command.args(arguments);
        self.proxy = Some(self.node.spawn(&mut command));
        Ok(())
    }

    /// What kube-proxy has said.
    pub fn proxy_log(&self) -> String {
        self.proxy.as_ref().map(Daemon::log).unwrap_or_default()
    }
}
