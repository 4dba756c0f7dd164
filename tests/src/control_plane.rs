//! A real control plane inside the guest: etcd and kube-apiserver with the chart's CRDs and RBAC, and our own programs
//! with the chart's ServiceAccounts. There are no other controllers: nothing collects garbage, no namespace ever ends.
//!
//! ```no_run
//! # use lvs_tests::bed::{Guest, in_guest};
//! # use lvs_tests::control_plane::ControlPlane;
//! # use lvs_tests::net::{Link, Node};
//! in_guest(Guest::control_plane().virtual_time(), || -> anyhow::Result<()> {
//!     let lan = Link::new("lan");
//!     let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
//!     let cluster = ControlPlane::start();
//!     cluster.add_node(&director, "192.168.0.1", &[("kube-lvs.io/director", "true")]);
//!     let _operator = cluster.start_operator();
//!     let _agent = cluster.start_agent(&director);
//!     cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")?;
//!     println!("{}", cluster.kubectl(&["get", "nodes"])?);
//!     Ok(())
//! });
//! ```

mod named;
mod objects;
pub(crate) mod programs;
pub(crate) mod seed;
mod server;

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::discovery::{ApiCapabilities, ApiResource};
use tokio::runtime::Runtime;

use crate::net::{Link, Node};
use crate::wait_for;
pub use programs::{program, state_dir};
pub use seed::make as make_seed;
use server::{Groups, Server};

/// The namespace that the chart is installed in.
pub const NAMESPACE: &str = "kube-lvs";
/// The API server's address, on the management network.
pub(crate) const ADDRESS: &str = "10.70.0.1";
const ADMIN_TOKEN: &str = "admin";

/// A running control plane. Dropping it ends its processes.
pub struct ControlPlane {
    /// The management network, on which nodes reach the API server: their interface on it is `mgmt0`.
    pub net: Link,
    /// It ends with the guest: to kill both while agents and operator live was once too much for a guest in virtual time.
    server: Mutex<ManuallyDrop<Server>>,
    runtime: Runtime,
    client: kube::Client,
    /// kubectl, kube-apiserver.
    programs: PathBuf,
    admin: PathBuf,
    /// The nodes as they are on the management network.
    nodes: Mutex<HashMap<String, Node>>,
    kinds: Mutex<HashMap<String, (ApiResource, ApiCapabilities)>>,
}

impl ControlPlane {
    /// Starts it and waits until it is ready. The CRDs are established, the chart's RBAC is there.
    ///
    /// # Panics
    /// When the guest is not a [`crate::bed::Guest::control_plane`], or a part does not start.
    #[track_caller]
    pub fn start() -> ControlPlane {
        let seed = std::env::var_os(seed::VARIABLE).map(PathBuf::from);
        let seed = seed.expect("a guest for it: in_guest(Guest::control_plane(), ..)");
        ControlPlane::start_from(Link::new("mgmt"), &seed, Groups::Ours, "", &[])
            .unwrap_or_else(|error| panic!("control plane: {error:#}"))
    }

    /// As [`ControlPlane::start`], with every API group that a cluster has: for what a user installs. Takes longer.
    #[track_caller]
    pub fn start_complete() -> ControlPlane {
        let seed = std::env::var_os(seed::VARIABLE).map(PathBuf::from);
        let seed = seed.expect("a guest for it: in_guest(Guest::control_plane(), ..)");
        ControlPlane::start_from(Link::new("mgmt"), &seed, Groups::All, "", &[])
            .unwrap_or_else(|error| panic!("control plane: {error:#}"))
    }

    /// As [`ControlPlane::start_complete`], with further arguments for kube-apiserver.
    #[track_caller]
    pub fn start_complete_with(arguments: &[&str]) -> ControlPlane {
        let seed = std::env::var_os(seed::VARIABLE).map(PathBuf::from);
        let seed = seed.expect("a guest for it: in_guest(Guest::control_plane(), ..)");
        ControlPlane::start_from(Link::new("mgmt"), &seed, Groups::All, "", arguments)
            .unwrap_or_else(|error| panic!("control plane: {error:#}"))
    }

    /// Starts one with all API groups on nothing, for a cluster of these nodes.
    pub(crate) fn start_whole(net: Link, nodes: &[String]) -> anyhow::Result<ControlPlane> {
        let nothing = Path::new("/tmp/nothing");
        std::fs::create_dir_all(nothing)?;
        let line = |name: &String| {
            format!("{},system:node:{name},{name},\"system:nodes\"\n", programs::node_token(name))
        };
        let tokens: String = nodes.iter().map(line).collect();
        ControlPlane::start_from(net, nothing, Groups::All, &tokens, &[])
    }

    fn start_from(
        net: Link,
        seed: &Path,
        groups: Groups,
        tokens: &str,
        arguments: &[&str],
    ) -> anyhow::Result<ControlPlane> {
        // A second one in a process: the first has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = std::env::var_os(PROGRAMS).map(PathBuf::from);
        let programs = programs.with_context(|| format!("{PROGRAMS} is not set"))?;
        // The API server wants a default route, wherever it leads.
        let here = Node::here().on(&net, "mgmt0", &format!("{ADDRESS}/24"));
        here.ip("route add default via 10.70.0.254");

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let server = Server::start(&programs, seed, groups, tokens, arguments)?;
        let admin = PathBuf::from("/tmp/admin.kubeconfig");
        programs::write_kubeconfig(&admin, ADMIN_TOKEN)?;
        let client = runtime.block_on(objects::client(&admin))?;
        let plane = ControlPlane {
            net,
            server: Mutex::new(ManuallyDrop::new(server)),
            runtime,
            client,
            programs,
            admin,
            nodes: Mutex::default(),
            kinds: Mutex::default(),
        };
        plane.wait_until_ready();
        Ok(plane)
    }

    /// Takes a backup of etcd's data; the API server is away meanwhile.
    ///
    /// # Errors
    /// When etcd does not end, or nothing can be copied.
    pub fn back_up(&self) -> anyhow::Result<()> {
        self.locked().between(|data| copy(&data.join("etcd"), &data.join("backup")))?;
        self.wait_until_ready();
        Ok(())
    }

    /// Puts the backup in place of what etcd has, without raising its revision: resourceVersions begin again where they were.
    ///
    /// # Errors
    /// As [`ControlPlane::back_up`].
    pub fn put_back(&self) -> anyhow::Result<()> {
        self.locked().between(|data| {
            std::fs::remove_dir_all(data.join("etcd"))?;
            copy(&data.join("backup"), &data.join("etcd"))
        })?;
        self.wait_until_ready();
        Ok(())
    }

    #[track_caller]
    fn wait_until_ready(&self) {
        wait_for("kube-apiserver is ready", Duration::from_secs(110), || {
            self.locked().assert_alive();
            let asked = self.runtime.block_on(objects::raw(&self.client, "/readyz"));
            asked.and_then(|said| if said == "ok" { Ok(()) } else { Err(anyhow::anyhow!(said)) })
        });
    }

    fn into_server(self) -> Server {
        let server = self.server.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        ManuallyDrop::into_inner(server)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, ManuallyDrop<Server>> {
        self.server.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A client with all rights. Use it inside [`ControlPlane::block_on`].
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Runs a future on the control plane's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A kubeconfig file with all rights.
    pub fn kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// The folder of kubectl, kube-apiserver and helm.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The file of the key that signs the tokens of ServiceAccounts.
    pub(crate) fn signing_key(&self) -> String {
        format!("{}/sa.key", server::DATA)
    }

    /// The file of the authority that the API server's certificate is of.
    pub(crate) fn certificate(&self) -> &'static str {
        server::CERTIFICATE
    }

    /// Runs kubectl with all rights and returns what it prints.
    ///
    /// # Errors
    /// With what it says on stderr.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = std::process::Command::new(self.programs.join("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", &self.admin)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), said.trim_end());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The API server is killed; its data stays. See [`ControlPlane::restart_api`].
    pub fn kill_api(&self) {
        self.locked().kill_api();
    }

    /// The API server comes back, and is ready.
    #[track_caller]
    pub fn restart_api(&self) {
        self.locked().start_api();
        self.wait_until_ready();
    }
}

/// The folder of kube-apiserver and kubectl, in a guest that has them.
pub(crate) const PROGRAMS: &str = "BED_CONTROL_PLANE";

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).output()?;
    ensure!(copied.status.success(), "cannot copy {}: {copied:?}", from.display());
    Ok(())
}
