//! Watches the folder, feeds the engine, writes the status file.

use super::status::{Transitions, render};
use super::{InForce, Standalone};
use crate::input::Update;
use crate::input::files::Folder;
use crate::input::saved::{Saved, replace_with};
use crate::message::{Feed, Published};
use crate::metrics::Metrics;
use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use lvs_crds::DirectorGroup;
use lvs_crds::manifest::Object;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Quiet for so long after the last event before the folder is read: an editor writes in several steps.
const QUIET: Duration = Duration::from_millis(50);
/// Read at the latest so long after the first event, quiet or not.
const PATIENCE: Duration = Duration::from_millis(500);
/// Read this often without any event, for file systems that tell of none (NFS, some mounts).
const RESCAN: Duration = Duration::from_secs(5);
/// At most one status file within this time.
const STATUS_PAUSE: Duration = Duration::from_millis(200);

/// Under these names, which no manifest has, the groups in force are saved, and that there is none and the node alone.
const GROUPS: &str = ".groups";
const ALONE: &str = ".alone";

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of manifests.
    pub manifests: PathBuf,
    /// The status file.
    pub status_file: PathBuf,
}

/// Runs until the engine is gone.
pub async fn watch(
    node: &str,
    places: Places,
    saved: Saved,
    feed: Feed,
    mut published: watch::Receiver<Published>,
    metrics: Arc<Metrics>,
) {
    let mut last_good = saved.load_manifests();
    let groups = last_good.remove(GROUPS).unwrap_or_default();
    let before = InForce {
        groups: groups.into_iter().filter_map(group).collect(),
        alone: last_good.remove(ALONE).is_some(),
    };
    let mut state = State {
        standalone: Standalone::new(node, before.clone()),
        saved_groups: before,
        folder: Folder::new(&places.manifests, last_good),
        transitions: Transitions::default(),
        places,
        saved,
        metrics,
        written: false,
    };
    let report = published.borrow_and_update().status.clone();
    state.standalone.report(&report, &now());
    state.folder.scan();
    let mut pending = Some(state.objects());
    let mut watcher = Watcher::open(&state.places.manifests);
    let mut rescan = interval(RESCAN);
    rescan.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut scan_at: Option<(Instant, Instant)> = None;
    let mut status_at: Option<Instant> = Some(Instant::now());
    loop {
        if let Some(update) = pending.take()
            && !feed.send(update)
        {
            return;
        }
        tokio::select! {
            () = watcher.changed() => {
                let now = Instant::now();
                let latest = scan_at.map_or(now + PATIENCE, |(_, latest)| latest);
                scan_at = Some(((now + QUIET).min(latest), latest));
            }
            () = until(scan_at.map(|(at, _)| at)) => {
                scan_at = None;
                watcher.renew(&state.places.manifests);
                if state.folder.scan() {
                    pending = Some(state.objects());
                    status_at.get_or_insert(Instant::now());
                }
            }
            _ = rescan.tick() => {
                watcher.renew(&state.places.manifests);
                if state.folder.scan() {
                    pending = Some(state.objects());
                    status_at.get_or_insert(Instant::now());
                }
            }
            changed = published.changed() => {
                if changed.is_err() {
                    return;
                }
                let report = published.borrow_and_update().status.clone();
                let update = state.standalone.report(&report, &now());
                if !update.slices.is_empty() || !update.groups.is_empty() {
                    pending = Some(update);
                }
                status_at.get_or_insert(Instant::now() + STATUS_PAUSE);
            }
            () = until(status_at) => {
                status_at = None;
                state.write_status();
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn now() -> Time {
    Time(Timestamp::now())
}

struct State {
    standalone: Standalone,
    folder: Folder,
    transitions: Transitions,
    places: Places,
    saved: Saved,
    saved_groups: InForce,
    metrics: Arc<Metrics>,
    /// The status file has what was told last.
    written: bool,
}

impl State {
    fn objects(&mut self) -> Update {
        let (objects, doubts) = (self.folder.objects(), self.folder.doubts());
        let mut update = self.standalone.take(&objects, &doubts, &now());
        // A folder that is not there yet (not mounted, say) is no wish to delete everything.
        update.slices_synced &= self.folder.is_readable();
        update.groups_synced &= self.folder.is_readable();
        update
    }

    /// What the files hold now is what a later run falls back to.
    fn keep_last_good(&mut self) {
        for (file, objects) in self.folder.take_unsaved() {
            let text = objects.map(|objects| text(&objects));
            self.save(&file, text.as_deref());
        }
        let in_force = self.standalone.groups_in_force();
        if *in_force == self.saved_groups {
            return;
        }
        self.saved_groups = in_force.clone();
        let InForce { groups, alone } = self.saved_groups.clone();
        let groups: Vec<Object> =
            groups.into_iter().map(Arc::new).map(Object::DirectorGroup).collect();
        self.save(GROUPS, (!groups.is_empty()).then(|| text(&groups)).as_deref());
        self.save(ALONE, alone.then_some(""));
    }

    fn save(&self, file: &str, text: Option<&str>) {
        if let Err(error) = self.saved.save_manifest(file, text) {
            tracing::warn!(object = file, %error, "last good manifest not saved");
        }
    }

    fn write_status(&mut self) {
        self.keep_last_good();
        let mut errors = self.folder.errors();
        errors.extend(self.standalone.group_errors());
        let objects = self.standalone.statuses(&now());
        if !self.transitions.log(objects, errors) && self.written {
            return;
        }
        let path = &self.places.status_file;
        let (objects, errors) = self.transitions.told();
        let render =
            |out: &mut BufWriter<File>| render(objects, errors, out).map_err(io::Error::other);
        let result = replace_with(path, render);
        self.written = result.is_ok();
        self.metrics.report("file", result.is_ok());
        if let Err(error) = result {
            tracing::warn!(object = %path.display(), %error, "status not written");
        }
    }
}

fn group(object: Object) -> Option<DirectorGroup> {
    match object {
        Object::DirectorGroup(group) => Some(Arc::unwrap_or_clone(group)),
        Object::VirtualService(_) | Object::RealServer(_) => None,
    }
}

/// JSON documents, one after the other: what the manifest parser reads again.
fn text(objects: &[Object]) -> String {
    let document = |object: &Object| match object {
        Object::VirtualService(object) => serde_json::to_string(object.as_ref()),
        Object::RealServer(object) => serde_json::to_string(object.as_ref()),
        Object::DirectorGroup(object) => serde_json::to_string(object.as_ref()),
    };
    // An object that was read from text can be written as text.
    objects
        .iter()
        .filter_map(|object| document(object).ok())
        .map(|text| format!("---\n{text}\n"))
        .collect()
}

/// inotify, or nothing where there is none: then the rescan finds what has changed.
struct Watcher {
    stream: Option<EventStream<[u8; 4096]>>,
}

impl Watcher {
    fn open(folder: &Path) -> Self {
        let stream = Inotify::init().and_then(|inotify| inotify.into_event_stream([0; 4096]));
        let mut watcher = match stream {
            Ok(stream) => Self { stream: Some(stream) },
            Err(error) => {
                tracing::warn!(%error, "no inotify; the folder is read every {} s", RESCAN.as_secs());
                Self { stream: None }
            }
        };
        watcher.renew(folder);
        watcher
    }

    /// Watches what stands at the path now: a folder that was mounted over or renamed is another one.
    fn renew(&mut self, folder: &Path) {
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let Some(stream) = &self.stream else { return };
        let added: io::Result<_> = stream.watches().add(folder, mask);
        if let Err(error) = added {
            tracing::debug!(object = %folder.display(), %error, "folder not watched");
        }
    }

    /// Something has happened in the folder.
    async fn changed(&mut self) {
        let Some(stream) = &mut self.stream else { return std::future::pending().await };
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => tracing::debug!(%error, "inotify"),
            None => std::future::pending().await,
        }
    }
}
