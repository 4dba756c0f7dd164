//! With a cluster: a real API server, the operator, and an agent on the director and on rs1.

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;
use lvs_tests::control_plane::ControlPlane;
use lvs_tests::net::Daemon;

use crate::cast::Cast;
use crate::stage::Stage;
use crate::system::System;

/// The running system.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    kubectl: PathBuf,
    _daemons: [Daemon; 3],
}

impl Cluster {
    pub(crate) fn start(cast: &Cast) -> Cluster {
        let plane = ControlPlane::start();
        plane.add_node(&cast.director, "222.117.155.123", &[("kube-lvs.io/director", "true")]);
        plane.add_node(&cast.rs1, "192.168.0.101", &[]);
        let daemons = [
            plane.start_operator(),
            plane.start_agent(&cast.director),
            plane.start_agent(&cast.rs1),
        ];
        let kubectl = folder_of_kubectl().join("kubectl");
        Cluster { plane, kubectl, _daemons: daemons }
    }

    /// Shows a kubectl command with all that it says, and returns whether it succeeded.
    pub(crate) fn kubectl(&self, stage: Stage, words: &str) -> anyhow::Result<bool> {
        stage.command("", &format!("kubectl {words}"));
        // Through a shell, so that the audience could type it.
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec \"$KUBECTL\" {words}"))
            .env("KUBECTL", &self.kubectl)
            .env("KUBECONFIG", self.plane.kubeconfig())
            .output()?;
        stage.output(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            stage.output(&String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.status.success())
    }

    fn must(&self, stage: Stage, words: &str) -> anyhow::Result<()> {
        ensure!(self.kubectl(stage, words)?, "kubectl {words} failed");
        Ok(())
    }
}

impl System for Cluster {
    fn apply(&self, stage: Stage, manifest: &str) -> anyhow::Result<()> {
        self.must(stage, &format!("apply -f examples/{manifest}"))?;
        self.must(stage, "wait --for=condition=Programmed virtualservice/web --timeout=60s")
    }

    fn set_weight(&self, stage: Stage, _: &str, server: &str, weight: u32) -> anyhow::Result<()> {
        let patch = format!(r#"{{"spec":{{"weight":{weight}}}}}"#);
        self.must(stage, &format!("patch realserver {server} --type=merge -p '{patch}'"))
    }

    fn list(&self, stage: Stage) -> anyhow::Result<()> {
        self.must(stage, "get lvs")
    }

    fn conditions(&self, stage: Stage) -> anyhow::Result<()> {
        let each = r#"{range .status.conditions[*]}{.type}={.status}  {.message}{"\n"}{end}"#;
        self.must(stage, &format!("get virtualservice web -o jsonpath='{each}'"))
    }

    fn delete(&self, stage: Stage, manifest: &str) -> anyhow::Result<()> {
        self.must(stage, &format!("delete -f examples/{manifest}"))
    }
}

/// Where the bed keeps kubectl, in a guest that has a control plane.
pub(crate) fn folder_of_kubectl() -> PathBuf {
    std::env::var_os("BED_CONTROL_PLANE").map(PathBuf::from).unwrap_or_default()
}
