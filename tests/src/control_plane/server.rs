//! etcd and kube-apiserver as processes.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{ADDRESS, ADMIN_TOKEN};
use crate::net::{Daemon, Node};
use crate::wait_for;

/// Groups that nothing here speaks of: each costs start-up time. Other settings are the server's own.
const SWITCHED_OFF: &str = "--runtime-config=apps/v1=false,batch/v1=false,autoscaling/v1=false,autoscaling/v2=false,\
     policy/v1=false,storage.k8s.io/v1=false,scheduling.k8s.io/v1=false,node.k8s.io/v1=false,\
     certificates.k8s.io/v1=false";
/// Two more, of which the oldest API server has never heard of one and waits for the other.
const NEWER: &str = ",resource.k8s.io/v1=false,flowcontrol.apiserver.k8s.io/v1=false";
/// Admission plugins that read those groups.
const WITHOUT_PLUGINS: &str = "--disable-admission-plugins=DefaultStorageClass,StorageObjectInUseProtection,\
     PersistentVolumeClaimResize,RuntimeClass,Priority";

/// Where both keep their data, in the guest's memory.
pub(super) const DATA: &str = "/tmp/control-plane";

/// The API server's certificate and the authority that it made for it.
pub(super) const CERTIFICATE: &str = "/tmp/control-plane/pki/apiserver.crt";

pub(super) struct Server {
    programs: PathBuf,
    etcd: Daemon,
    api: Daemon,
    groups: Groups,
    /// Further arguments of the API server.
    arguments: Vec<String>,
}

/// What the API server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// What our programs speak of.
    Ours,
    /// All, for a cluster with kubelets.
    All,
}

impl Server {
    /// Starts both on a copy of `seed`; an empty folder gives an empty cluster.
    ///
    /// `tokens` are further lines for `--token-auth-file`, `arguments` further arguments of the API server.
    pub(super) fn start(
        programs: &Path,
        seed: &Path,
        groups: Groups,
        tokens: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Server> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let copied =
            Command::new("cp").arg("-r").arg(seed).arg(DATA).output().context("cannot run cp")?;
        ensure!(copied.status.success(), "cannot copy {}: {copied:?}", seed.display());
        let tokens = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n{tokens}");
        fs::write(format!("{DATA}/tokens.csv"), tokens)?;
        if !Path::new(DATA).join("sa.key").exists() {
            let key = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"];
            let made = Command::new("openssl").args(key).arg(format!("{DATA}/sa.key")).output();
            let made = made.context("cannot run openssl (package openssl)")?;
            ensure!(made.status.success(), "openssl: {made:?}");
        }
        let etcd = start_etcd();
        let api = start_api(programs, groups, &arguments);
        // Made by the first start; a seed brings it.
        wait_for("kube-apiserver has a certificate", Duration::from_secs(60), || {
            fs::metadata(CERTIFICATE)
        });
        Ok(Server { programs: programs.to_owned(), etcd, api, groups, arguments })
    }

    #[track_caller]
    pub(super) fn assert_alive(&mut self) {
        for part in [&mut self.etcd, &mut self.api] {
            let ended = part.ended();
            assert!(ended.is_none(), "it has ended ({ended:?}): {}", part.log());
        }
    }

    pub(super) fn kill_api(&mut self) {
        self.api.kill();
    }

    pub(super) fn start_api(&mut self) {
        self.api = start_api(&self.programs, self.groups, &self.arguments);
    }

    /// Ends both, and starts them again after `change` of the folder of etcd's data.
    pub(super) fn between(
        &mut self,
        change: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.api.kill();
        self.etcd.term();
        self.etcd.wait(Duration::from_secs(30))?;
        change(Path::new(DATA))?;
        self.etcd = start_etcd();
        self.start_api();
        Ok(())
    }

    /// Ends both in the order in which nothing is lost.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        self.api.term();
        self.api.wait(Duration::from_secs(90))?;
        self.etcd.term();
        self.etcd.wait(Duration::from_secs(30)).map(drop)
    }
}

fn start_etcd() -> Daemon {
    let etcd = Node::here().spawn(Command::new("etcd").args([
        &format!("--data-dir={DATA}/etcd"),
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=error",
    ]));
    // Without it the API server begins to back off.
    wait_for("etcd listens", Duration::from_secs(30), || TcpStream::connect("127.0.0.1:2379"));
    etcd
}

fn start_api(programs: &Path, groups: Groups, arguments: &[String]) -> Daemon {
    let mut command = Command::new(programs.join("kube-apiserver"));
    command.args([
        "--etcd-servers=http://127.0.0.1:2379",
        &format!("--advertise-address={ADDRESS}"),
        &format!("--cert-dir={DATA}/pki"),
        "--service-account-issuer=https://kubernetes.default.svc",
        &format!("--service-account-key-file={DATA}/sa.key"),
        &format!("--service-account-signing-key-file={DATA}/sa.key"),
        "--service-cluster-ip-range=10.96.0.0/16",
        &format!("--token-auth-file={DATA}/tokens.csv"),
        "--allow-privileged",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]);
    let newer = if crate::bed::is_oldest() { "" } else { NEWER };
    match groups {
        Groups::Ours => command.args([
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            &format!("{SWITCHED_OFF}{newer}"),
            WITHOUT_PLUGINS,
        ]),
        Groups::All => command
            .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]),
    };
    Node::here().spawn(command.args(arguments))
}
