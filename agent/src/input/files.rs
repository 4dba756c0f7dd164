//! A folder of manifests: which objects its files hold now, and what is wrong with which file.
//!
//! The files `*.yaml`, `*.yml` and `*.json` of the folder itself count, symbolic links too (mounted ConfigMaps are such),
//! hidden ones not. Nothing here watches: [`crate::standalone`] asks for a scan whenever something may have changed.

#[cfg(test)]
mod tests;

use crate::retry::causes;
use lvs_crds::manifest::{self, Documents, ManifestError, Object};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const GROUP: &str = "DirectorGroup";

/// Kind, namespace and name.
pub type ObjectName = (&'static str, String, String);

/// The folder as last scanned.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    files: BTreeMap<String, File>,
    /// Files that are there no more, and of which a copy is kept.
    gone: Vec<String>,
    error: Option<String>,
}

#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    documents: Documents,
    objects: BTreeMap<ObjectName, Object>,
    errors: Vec<String>,
    /// What the bad documents may be.
    bad: Vec<Bad>,
    /// Objects that a bad document may have meant, as they were when the file was last good.
    kept: bool,
    /// The copy that is kept of it has other objects.
    unsaved: bool,
}

/// A document that cannot be read, or a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bad {
    /// What it says to be.
    kind: Option<String>,
    /// The object's name, where that is known.
    name: Option<String>,
}

impl Bad {
    fn of(error: &ManifestError) -> Self {
        let name = error.object.as_deref().and_then(|object| object.split_once(' '));
        Self { kind: error.kind.clone(), name: name.map(|(_, name)| name.to_owned()) }
    }

    /// Whether it may be a DirectorGroup: it says so, more or less, or nothing at all, as half of a file does.
    fn may_be_group(&self) -> bool {
        let Some(kind) = self.kind.as_deref().map(str::to_ascii_lowercase) else { return true };
        let like = ["director", "group", "list"].iter().any(|part| kind.contains(part));
        like || "directorgroup".starts_with(&kind)
    }
}

/// A file that seems to have a DirectorGroup, of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubt {
    /// The file's name in the folder.
    pub file: String,
    /// The group's name, if that can be told.
    pub group: Option<String>,
}

/// What changes when a file does. A file written twice within the file system's time stamp, with one size, is told
/// apart by nothing; the next write tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What is wrong with a file or with the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file's name in the folder; empty for the folder itself.
    pub file: String,
    /// What is wrong and where.
    pub message: String,
}

impl Folder {
    /// The folder `path`, nothing read yet. `last_good` are objects by file from an earlier run: they stand in for
    /// files that cannot be read now.
    pub fn new(path: &Path, last_good: BTreeMap<String, Vec<Object>>) -> Self {
        let file = |objects: Vec<Object>| File {
            objects: objects.into_iter().map(|object| (name(&object), object)).collect(),
            ..File::default()
        };
        Self {
            path: path.to_owned(),
            files: last_good.into_iter().map(|(name, objects)| (name, file(objects))).collect(),
            gone: Vec::new(),
            error: None,
        }
    }

    /// Reads what has changed since the last scan. Returns whether anything has.
    ///
    /// While the folder itself cannot be read, everything stays as it was.
    pub fn scan(&mut self) -> bool {
        let listed = match list(&self.path) {
            Ok(listed) => listed,
            Err(error) => {
                let message = format!("cannot be read: {error}; the last good state is kept");
                let news = self.error.as_ref() != Some(&message);
                self.error = Some(message);
                return news;
            }
        };
        let mut changed = self.error.take().is_some();
        let before = self.files.len();
        let files = self.files.keys();
        self.gone.extend(files.filter(|name| !listed.contains_key(*name)).cloned());
        self.files.retain(|name, _| listed.contains_key(name));
        changed |= self.files.len() != before;
        for (name, path) in listed {
            changed |= self.files.entry(name).or_default().refresh(&path);
        }
        changed
    }

    /// Whether the last scan could read the folder.
    pub fn is_readable(&self) -> bool {
        self.error.is_none()
    }

    /// Every object once: of two files with the same, the first by name has it.
    pub fn objects(&self) -> BTreeMap<&ObjectName, &Object> {
        let mut all = BTreeMap::new();
        for file in self.files.values() {
            for (name, object) in &file.objects {
                all.entry(name).or_insert(object);
            }
        }
        all
    }

    /// Which files seem to have a DirectorGroup that cannot be read now and was not read before: whether this node is alone
    /// cannot be known as long as there is one.
    pub fn doubts(&self) -> BTreeSet<Doubt> {
        let of_file = |(name, file): (&String, &File)| {
            let has = |group: Option<&String>| {
                file.objects.keys().any(|(kind, _, name)| {
                    *kind == GROUP && group.is_none_or(|group| group == name)
                })
            };
            let bad = file.bad.iter().filter(|bad| bad.may_be_group());
            let doubts = bad.filter(|bad| !has(bad.name.as_ref()));
            doubts
                .map(|bad| Doubt { file: name.clone(), group: bad.name.clone() })
                .collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// What is wrong, by file.
    pub fn errors(&self) -> Vec<FileError> {
        let mut errors = Vec::new();
        if let Some(message) = &self.error {
            errors.push(FileError { file: String::new(), message: message.clone() });
        }
        let mut seen: BTreeMap<&ObjectName, &String> = BTreeMap::new();
        for (file_name, file) in &self.files {
            let error = |message| FileError { file: file_name.clone(), message };
            errors.extend(file.errors.iter().cloned().map(error));
            if file.kept {
                errors.push(error(
                    "the objects that this file held when it was last good are kept".to_owned(),
                ));
            }
            for name in file.objects.keys() {
                if let Some(first) = seen.get(name) {
                    errors.push(error(format!("{} is in {first} too, which counts", text(name))));
                } else {
                    seen.insert(name, file_name);
                }
            }
        }
        errors
    }

    /// For [`Folder::new`] of the next run: the files that hold others than when this was asked last, with what they hold;
    /// `None`: the file is gone.
    pub fn take_unsaved(&mut self) -> Vec<(String, Option<Vec<Object>>)> {
        let gone = std::mem::take(&mut self.gone).into_iter().map(|name| (name, None));
        let changed = self.files.iter_mut().filter_map(|(name, file)| {
            let objects = || (name.clone(), Some(file.objects.values().cloned().collect()));
            std::mem::take(&mut file.unsaved).then(objects)
        });
        gone.chain(changed).collect()
    }
}

impl File {
    fn refresh(&mut self, path: &Path) -> bool {
        let stamp = match fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => return self.fail(format!("cannot be read: {error}")),
        };
        if self.stamp == Some(stamp) {
            return false;
        }
        // Taken before reading: a write in between shows at the next scan.
        self.stamp = Some(stamp);
        if stamp.size > manifest::MAX_FILE_BYTES as u64 {
            let limit = manifest::MAX_FILE_BYTES;
            return self.fail(format!(
                "the file has {} bytes, more than the {limit} that are read; split it",
                stamp.size
            ));
        }
        match fs::read(path) {
            Ok(bytes) => self.parse(&bytes),
            Err(error) => self.fail(format!("cannot be read: {error}")),
        }
    }

    fn fail(&mut self, message: String) -> bool {
        self.stamp = None;
        self.take(BTreeMap::new(), vec![message], vec![Bad::default()])
    }

    fn parse(&mut self, bytes: &[u8]) -> bool {
        let mut objects = BTreeMap::new();
        let (mut errors, mut bad) = (Vec::new(), Vec::new());
        for result in self.documents.parse_bytes(bytes) {
            match result {
                Ok(object) => {
                    let name = name(&object);
                    match objects.entry(name) {
                        Entry::Vacant(free) => {
                            free.insert(object);
                        }
                        Entry::Occupied(first) => {
                            errors.push(format!("{} stands twice in this file", text(first.key())));
                        }
                    }
                }
                Err(error) => {
                    errors.push(causes(&error));
                    bad.push(Bad::of(&error));
                }
            }
        }
        self.take(objects, errors, bad)
    }

    /// A bad document may have been meant to be any object that the file held, so all of those that no good document
    /// replaces stay.
    fn take(
        &mut self,
        objects: BTreeMap<ObjectName, Object>,
        errors: Vec<String>,
        bad: Vec<Bad>,
    ) -> bool {
        let mut next = objects;
        let mut kept = false;
        if !errors.is_empty() {
            for (name, object) in &self.objects {
                if !next.contains_key(name) {
                    next.insert(name.clone(), object.clone());
                    kept = true;
                }
            }
        }
        let others = next != self.objects;
        self.unsaved |= others;
        let changed = others || errors != self.errors || kept != self.kept;
        (self.objects, self.errors, self.bad, self.kept) = (next, errors, bad, kept);
        changed
    }
}

fn list(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut listed = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_manifest = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| ["yaml", "yml", "json"].contains(&extension));
        if is_manifest && !name.starts_with('.') && !path.is_dir() {
            listed.insert(name.to_owned(), path.clone());
        }
    }
    Ok(listed)
}

/// An object's kind, namespace and name.
pub fn name(object: &Object) -> ObjectName {
    let metadata = match object {
        Object::VirtualService(object) => &object.metadata,
        Object::RealServer(object) => &object.metadata,
        Object::DirectorGroup(object) => &object.metadata,
    };
    (
        object.kind(),
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

fn text((kind, namespace, name): &ObjectName) -> String {
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}
