//! The chart, as helm renders it.

mod values;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::bed::made_by;
use crate::control_plane::{NAMESPACE, PROGRAMS};
pub use values::{reference, undescribed, with_group_spec};

/// The release's name.
pub const RELEASE: &str = "kube-lvs";

/// Where the chart is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/kube-lvs")
}

/// The bed's helm, in a guest with a control plane or on the host, where it is built if need be.
///
/// # Errors
/// When it cannot be built.
pub fn helm() -> anyhow::Result<PathBuf> {
    let known = std::env::var_os(PROGRAMS).map(PathBuf::from);
    let programs = known.map_or_else(|| made_by("control-plane.sh"), Ok)?;
    Ok(programs.join("helm"))
}

/// `helm template` with these further arguments: what is applied, hooks included.
///
/// # Errors
/// With what helm says.
pub fn template(helm: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let chart = folder();
    let chart = chart.to_str().context("the chart's path is UTF-8")?;
    run(helm, &[&["template", RELEASE, chart, "--namespace", NAMESPACE], arguments].concat())
}

/// Runs helm.
///
/// # Errors
/// With what it says.
pub fn run(helm: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let home = std::env::temp_dir();
    let output = Command::new(helm)
        .args(arguments)
        // Nobody's settings, plugins or repositories.
        .envs(["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|it| (it, &home)))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", helm.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {}: {}", arguments.join(" "), said.trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// The objects of a manifest.
///
/// # Errors
/// When it is no YAML.
pub fn objects(manifest: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(manifest)
        .map_err(|error| anyhow::anyhow!("no YAML: {error}:\n{manifest}"))?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}
