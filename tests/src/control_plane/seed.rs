//! The first start of an API server writes hundreds of objects, which takes most of its time. So it is done once: a
//! guest starts a control plane on nothing, applies the chart's CRDs and RBAC, and leaves its data in the user's cache
//! folder. Every other guest starts on a copy.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::server::{DATA, Server};
use super::{ControlPlane, NAMESPACE};
use crate::bed::{self, Guest};
use crate::wait_for;

/// Tells the command in a guest where the seed is; an empty folder for the guest that makes one.
pub(crate) const VARIABLE: &str = "BED_SEED";
/// The name of the seed in the folder of the guest that makes it.
const MADE: &str = "/run/bed/seed";
/// The API server's own certificate in the seed is valid for a year.
const BEST_BEFORE: Duration = Duration::from_secs(300 * 24 * 60 * 60);

/// The seed for these programs and the chart as it stands; made if it is not there yet.
pub(crate) fn ensure_made(programs: &Path) -> anyhow::Result<PathBuf> {
    let cache = programs.parent().context("the control plane's folder has a parent")?;
    let seeds = cache.join("seeds");
    fs::create_dir_all(&seeds).with_context(|| format!("cannot create {}", seeds.display()))?;
    let lock = File::create(seeds.join("lock"))?;
    lock.lock().context("cannot lock the seeds")?;
    let seed = seeds.join(key(programs)?);
    let age = fs::metadata(&seed).and_then(|known| known.modified()).map(|made| made.elapsed());
    if age.is_ok_and(|age| age.unwrap_or_default() < BEST_BEFORE) {
        return Ok(seed);
    }
    eprintln!(
        "control plane: starting it for the first time with these CRDs (half a minute, once)"
    );
    let maker = super::programs::program("lvs-bed");
    let guest = Guest::control_plane().making_seed().limit(Duration::from_secs(600));
    let command: Vec<OsString> = vec![maker.into(), "make-seed".into()];
    let kept = bed::target().join("bed/make-seed");
    let made = seeds.join("new");
    let _ = fs::remove_dir_all(&made);
    bed::run_and_take(&guest, command, &kept, "seed", &made)?;
    forget_old(&seeds)?;
    let _ = fs::remove_dir_all(&seed);
    fs::rename(&made, &seed).with_context(|| format!("cannot make {}", seed.display()))?;
    Ok(seed)
}

/// Keeps the three newest beside the one to come.
fn forget_old(seeds: &Path) -> anyhow::Result<()> {
    let mut old: Vec<_> = fs::read_dir(seeds)?
        .flatten()
        .filter(|entry| entry.path().join("etcd").exists() && entry.file_name() != "new")
        .map(|entry| {
            (
                entry
                    .metadata()
                    .and_then(|known| known.modified())
                    .unwrap_or(SystemTime::UNIX_EPOCH),
                entry.path(),
            )
        })
        .collect();
    old.sort();
    for (_, path) in old.iter().rev().skip(3) {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Changes when the chart's objects, the programs or this very way of starting them change.
fn key(programs: &Path) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    programs.hash(&mut hasher);
    include_str!("server.rs").hash(&mut hasher);
    include_str!("seed.rs").hash(&mut hasher);
    manifests()?.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// The chart's CRDs and RBAC, as they are applied.
fn manifests() -> anyhow::Result<Vec<String>> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/kube-lvs");
    let crds = chart.join("crds");
    let entries =
        fs::read_dir(&crds).with_context(|| format!("no {}: make crds", crds.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.push(chart.join("templates/rbac.yaml"));
    let read = |file: &PathBuf| {
        let text = fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
        let text = text.replace("{{ .Release.Namespace }}", NAMESPACE);
        ensure!(
            !text.contains("{{"),
            "{} has a placeholder that the bed does not know",
            file.display()
        );
        Ok(text)
    };
    files.iter().map(read).collect()
}

/// In the guest: makes the seed.
pub fn make() -> anyhow::Result<()> {
    fs::create_dir_all("/tmp/nothing")?;
    let plane = ControlPlane::start_from(Path::new("/tmp/nothing"))?;
    plane
        .apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"))?;
    for manifest in manifests()? {
        plane.apply(&manifest)?;
    }
    wait_for("the CRDs are established", Duration::from_secs(60), || {
        for crd in plane.list::<CustomResourceDefinition>()? {
            let conditions = crd.status.unwrap_or_default().conditions.unwrap_or_default();
            let established =
                conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
            ensure!(established, "{:?}: {conditions:?}", crd.metadata.name);
        }
        Ok::<(), anyhow::Error>(())
    });
    let server: Server = plane.into_server();
    server.end()?;
    shorten_log()?;
    let copied = Command::new("cp").args(["-r", DATA, MADE]).status().context("cannot run cp")?;
    ensure!(copied.success(), "cannot copy the data: {copied}");
    Ok(())
}

/// etcd allots its log 64 MB of zeros in advance, which nobody needs to copy.
fn shorten_log() -> anyhow::Result<()> {
    let folder = Path::new(DATA).join("etcd/member/wal");
    for entry in fs::read_dir(&folder)?.flatten() {
        let path = entry.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wal") => {
                let bytes = fs::read(&path)?;
                let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                // A record ends at a multiple of 8 bytes (etcd, server/wal/encoder.go).
                let end = used.next_multiple_of(8).min(bytes.len());
                File::options().write(true).open(&path)?.set_len(end as u64)?;
            }
            Some("tmp") => fs::remove_file(&path)?,
            _ => bail!("a strange file: {}", path.display()),
        }
    }
    Ok(())
}
