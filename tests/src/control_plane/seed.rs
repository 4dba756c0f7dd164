//! The first start of an API server writes hundreds of objects, which takes most of its time. So it is done once: a
//! guest starts a control plane on nothing, applies the chart's CRDs, RBAC and policies as helm renders them, and leaves its
//! data in the user's cache folder. Every other guest starts on a copy.

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::server::{DATA, Groups, Server};
use super::{ControlPlane, NAMESPACE};
use crate::bed::{self, Guest};
use crate::chart;
use crate::net::Link;
use crate::wait_for;

/// Tells the command in a guest where the seed is; an empty folder for the guest that makes one.
pub(crate) const VARIABLE: &str = "BED_SEED";
/// The name of the seed in the folder of the guest that makes it.
const MADE: &str = "/run/bed/seed";
/// The API server's own certificate in the seed is valid for a year.
const BEST_BEFORE: Duration = Duration::from_secs(300 * 24 * 60 * 60);

/// The seed for these programs and the chart as it stands; made if it is not there yet.
pub(crate) fn ensure_made(programs: &Path, oldest: bool) -> anyhow::Result<PathBuf> {
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
    let guest = if oldest { Guest::oldest_control_plane() } else { Guest::control_plane() };
    let guest = guest.making_seed().limit(Duration::from_secs(600));
    // A folder that the guest sees.
    let manifest = programs.join("seed.yaml");
    fs::write(&manifest, rendered(programs)?)
        .with_context(|| format!("cannot write {}", manifest.display()))?;
    let command: Vec<OsString> = vec![maker.into(), "make-seed".into(), manifest.into()];
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

/// Changes when the chart, the programs or this very way of starting them change.
fn key(programs: &Path) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    programs.hash(&mut hasher);
    include_str!("server.rs").hash(&mut hasher);
    include_str!("seed.rs").hash(&mut hasher);
    let mut files = Vec::new();
    collect(&chart::folder(), &mut files)?;
    files.sort();
    for file in files {
        fs::read(&file).with_context(|| format!("no {}", file.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// What is applied of the chart: what runs in pods runs as processes here, and there is nobody to run hooks.
fn rendered(programs: &Path) -> anyhow::Result<String> {
    let text = chart::template(&programs.join("helm"), &[])?;
    let kept = chart::objects(&text)?.into_iter().filter(|object| {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let annotations = &object["metadata"]["annotations"];
        APPLIED.contains(&version) && annotations.get("helm.sh/hook").is_none()
    });
    // JSON is YAML.
    Ok(kept.map(|object| format!("---\n{object}\n")).collect())
}

/// The groups of CRDs, of ServiceAccounts, of RBAC and of policies.
const APPLIED: &[&str] = &[
    "apiextensions.k8s.io/v1",
    "v1",
    "rbac.authorization.k8s.io/v1",
    "admissionregistration.k8s.io/v1",
];

/// In the guest: makes the seed, with the objects of a file.
///
/// # Errors
/// When the server refuses one.
pub fn make(manifest: &Path) -> anyhow::Result<()> {
    fs::create_dir_all("/tmp/nothing")?;
    let plane = ControlPlane::start_from(
        Link::new("mgmt"),
        Path::new("/tmp/nothing"),
        Groups::Ours,
        "",
        &[],
    )?;
    plane
        .apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}"))?;
    let manifest = fs::read_to_string(manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    plane.apply(&manifest)?;
    wait_for("the CRDs are established", Duration::from_secs(60), || {
        for crd in plane.list::<CustomResourceDefinition>()? {
            let conditions = crd.status.unwrap_or_default().conditions.unwrap_or_default();
            let established =
                conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
            ensure!(established, "{:?}: {conditions:?}", crd.metadata.name);
        }
        Ok::<(), anyhow::Error>(())
    });
    ensure!(
        !plane.list::<ValidatingAdmissionPolicy>()?.is_empty(),
        "the chart brings a policy, and it is not there"
    );
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
