//! The last known state on disk, so that an agent that starts while the API server is away programs what it knew.
//!
//! One small file an object, replaced by renaming: a change costs one write, whatever the table's size. Nothing is
//! flushed to the platter: after a power cut the kernel is empty too, and a torn file is skipped.

#[cfg(test)]
mod tests;

use super::{SliceName, Update, slice_name, version};
use lvs_crds::manifest::Object;
use lvs_crds::{DirectorGroup, VirtualServiceSlice};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The folders of one state directory.
#[derive(Clone, Debug)]
pub struct Saved {
    slices: PathBuf,
    groups: PathBuf,
    manifests: PathBuf,
}

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct SaveError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl SaveError {
    /// A file that could not be written.
    pub(crate) fn of(path: &Path, source: io::Error) -> Self {
        failed("write", path)(source)
    }
}

impl Saved {
    /// In `state_dir`; the folders are made where they are missing.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(state_dir: &Path) -> Result<Self, SaveError> {
        let saved = Self {
            slices: state_dir.join("slices"),
            groups: state_dir.join("directorgroups"),
            manifests: state_dir.join("manifests"),
        };
        for dir in [&saved.slices, &saved.groups, &saved.manifests] {
            fs::create_dir_all(dir).map_err(failed("make the folder", dir))?;
        }
        Ok(saved)
    }

    /// Everything that was saved. Not synced: the API server has the last word.
    pub fn load(&self) -> Update {
        let slices: Vec<VirtualServiceSlice> = load(&self.slices);
        let groups: Vec<DirectorGroup> = load(&self.groups);
        Update {
            version: slices.iter().map(|slice| version(&slice.metadata)).max().unwrap_or(0),
            slices: slices.into_iter().map(|slice| (slice_name(&slice), Some(slice))).collect(),
            groups: groups
                .into_iter()
                .filter_map(|group| Some((group.metadata.name.clone()?, Some(group))))
                .collect(),
            ..Update::default()
        }
    }

    /// Saves what news tell.
    ///
    /// # Errors
    /// When a file cannot be written or removed; the others are done.
    pub fn save(&self, update: &Update) -> Result<(), SaveError> {
        let mut result = Ok(());
        for (name, slice) in &update.slices {
            let done = put(&self.slices, &slice_file(name), slice.as_ref().map(lean));
            result = result.and(done);
        }
        for (name, group) in &update.groups {
            result = result.and(put(&self.groups, name, group.as_ref()));
        }
        result
    }

    /// The objects that manifest files held when they were last good, by file.
    pub fn load_manifests(&self) -> BTreeMap<String, Vec<Object>> {
        let mut files = BTreeMap::new();
        for (file, text) in texts(&self.manifests) {
            let objects = lvs_crds::manifest::parse(&text).into_iter().filter_map(Result::ok);
            files.insert(file, objects.collect());
        }
        files
    }

    /// Saves what one manifest file holds; `None` when it is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_manifest(&self, file: &str, text: Option<&str>) -> Result<(), SaveError> {
        let path = self.manifests.join(format!("{file}{SUFFIX}"));
        match text {
            Some(text) => replace(&path, text.as_bytes()),
            None => remove(&path),
        }
    }
}

const SUFFIX: &str = ".json";

/// What the API server keeps for itself is not worth the space.
fn lean(slice: &VirtualServiceSlice) -> VirtualServiceSlice {
    let mut slice = slice.clone();
    slice.metadata.managed_fields = None;
    slice
}

/// Kubernetes names hold no underscore, so it parts them.
fn slice_file((namespace, name): &SliceName) -> String {
    format!("{namespace}_{name}")
}

fn put<T: serde::Serialize>(dir: &Path, name: &str, object: Option<T>) -> Result<(), SaveError> {
    let path = dir.join(format!("{name}{SUFFIX}"));
    let Some(object) = object else { return remove(&path) };
    let text = serde_json::to_vec(&object)
        .map_err(|error| failed("write", &path)(io::Error::other(error)))?;
    replace(&path, &text)
}

/// Writes a file in one step for whoever reads it.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &[u8]) -> Result<(), SaveError> {
    replace_with(path, |out| out.write_all(text))
}

/// As [`replace`], for a text that need not be in memory as a whole.
///
/// # Errors
/// When it cannot be written.
pub fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), SaveError> {
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let written = File::create(&temporary).map(BufWriter::new).and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    written.map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("replace", path))
}

fn remove(path: &Path) -> Result<(), SaveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    let path = path.to_owned();
    move |source| SaveError { operation, path, source }
}

fn load<T: DeserializeOwned>(dir: &Path) -> Vec<T> {
    let mut objects = Vec::new();
    for (name, text) in texts(dir) {
        match serde_json::from_str(&text) {
            Ok(object) => objects.push(object),
            Err(error) => {
                let path = dir.join(name).display().to_string();
                tracing::warn!(object = path, %error, "saved object skipped");
            }
        }
    }
    objects
}

/// The files of a folder, without their suffix.
fn texts(dir: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut texts = Vec::new();
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
        match fs::read_to_string(entry.path()) {
            Ok(text) => texts.push((name.to_owned(), text)),
            Err(error) => {
                let path = entry.path().display().to_string();
                tracing::warn!(object = path, %error, "saved object not read");
            }
        }
    }
    texts.sort();
    texts
}
