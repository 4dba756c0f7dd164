//! What the operator would write into statuses, as one YAML file, and what has changed in it, for the terminal.

use crate::input::files::FileError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService};
use serde::{Serialize, Serializer};
use std::io;
use std::sync::Arc;

/// Every object with its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// VirtualServices.
    pub virtual_services: Vec<Arc<VirtualService>>,
    /// RealServers.
    pub real_servers: Vec<Arc<RealServer>>,
    /// DirectorGroups.
    pub groups: Vec<DirectorGroup>,
    /// This node's report.
    pub node: Option<Arc<LVSNode>>,
}

impl Objects {
    /// Whether nothing is another than `before`; cheap where most objects are the very same.
    pub fn are_those_of(&self, before: &Self) -> bool {
        self.virtual_services.len() == before.virtual_services.len()
            && self.real_servers.len() == before.real_servers.len()
            && others(&before.virtual_services, &self.virtual_services).next().is_none()
            && others(&before.real_servers, &self.real_servers).next().is_none()
            && self.groups == before.groups
            && self.node == before.node
    }
}

/// The objects of `new` that are not the same in memory in `old`, with what they were; both in the order of their names.
fn others<'a, K: ResourceExt>(
    old: &'a [Arc<K>],
    new: &'a [Arc<K>],
) -> impl Iterator<Item = (Option<&'a K>, &'a K)> {
    let id = |object: &Arc<K>| (object.namespace(), object.name_any());
    let mut old = old.iter().peekable();
    new.iter().filter_map(move |new| {
        if old.next_if(|old| Arc::ptr_eq(old, new)).is_some() {
            return None;
        }
        while old.next_if(|old| id(old) < id(new)).is_some() {}
        let before = old.next_if(|old| id(old) == id(new));
        let same = before.is_some_and(|before| Arc::ptr_eq(before, new));
        (!same).then(|| (before.map(Arc::as_ref), new.as_ref()))
    })
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    /// What is wrong with files, first: nothing below speaks of what could not be read.
    errors: Vec<Error<'a>>,
    items: Items<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    file: &'a str,
    message: &'a str,
}

struct Items<'a>(&'a Objects);

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    VirtualService(&'a VirtualService),
    RealServer(&'a RealServer),
    DirectorGroup(&'a DirectorGroup),
    Node(&'a LVSNode),
}

impl Serialize for Items<'_> {
    // One after the other: as trees they would take a hundred times the memory of their text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Objects { virtual_services, real_servers, groups, node } = self.0;
        let virtual_services = virtual_services.iter().map(|it| Item::VirtualService(it));
        let real_servers = real_servers.iter().map(|it| Item::RealServer(it));
        let groups = groups.iter().map(Item::DirectorGroup);
        let node = node.iter().map(|it| Item::Node(it));
        serializer.collect_seq(virtual_services.chain(real_servers).chain(groups).chain(node))
    }
}

/// Writes the status file's text: a `List` of the objects with their statuses, which kubectl and yq read, plus `errors`.
///
/// # Errors
/// When an object cannot be written as YAML, or the text not at all.
pub fn render(
    objects: &Objects,
    errors: &[FileError],
    out: &mut impl io::Write,
) -> Result<(), serde_saphyr::ser::Error> {
    let errors = errors.iter().map(|e| Error { file: &e.file, message: &e.message }).collect();
    let file = File { api_version: "v1", kind: "List", errors, items: Items(objects) };
    serde_saphyr::to_io_writer(out, &file)
}

/// What was told last.
#[derive(Debug, Default)]
pub struct Transitions {
    objects: Objects,
    errors: Vec<FileError>,
}

impl Transitions {
    /// Logs what has changed since the last call. Returns whether anything at all has, if only a time.
    pub fn log(&mut self, objects: Objects, errors: Vec<FileError>) -> bool {
        if self.errors == errors && objects.are_those_of(&self.objects) {
            return false;
        }
        for error in errors.iter().filter(|error| !self.errors.contains(error)) {
            tracing::warn!(object = file_text(&error.file), "{}", error.message);
        }
        for error in self.errors.iter().filter(|old| !errors.iter().any(|e| e.file == old.file)) {
            tracing::info!(object = file_text(&error.file), "is good again");
        }
        for (old, new) in others(&self.objects.virtual_services, &objects.virtual_services) {
            let of = |object: &VirtualService| object.status.as_ref().map(|s| s.conditions.clone());
            compare("VirtualService", new, old.and_then(of), of(new));
        }
        for (old, new) in others(&self.objects.real_servers, &objects.real_servers) {
            let of = |object: &RealServer| object.status.as_ref().map(|s| s.conditions.clone());
            compare("RealServer", new, old.and_then(of), of(new));
        }
        for new in &objects.groups {
            let old = self.objects.groups.iter().find(|old| old.metadata.name == new.metadata.name);
            let of = |object: &DirectorGroup| object.status.as_ref().map(|s| s.conditions.clone());
            compare("DirectorGroup", new, old.and_then(of), of(new));
        }
        (self.objects, self.errors) = (objects, errors);
        true
    }

    /// What was told last.
    pub fn told(&self) -> (&Objects, &[FileError]) {
        (&self.objects, &self.errors)
    }
}

fn compare(
    kind: &str,
    object: &impl ResourceExt,
    old: Option<Vec<Condition>>,
    new: Option<Vec<Condition>>,
) {
    let old = old.unwrap_or_default();
    for Condition { type_, status, reason, message, .. } in new.iter().flatten() {
        let same =
            |c: &Condition| c.type_ == *type_ && c.status == *status && c.message == *message;
        if !old.iter().any(same) {
            let object = match object.namespace() {
                Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
                None => format!("{kind} {}", object.name_any()),
            };
            tracing::info!(object, reason, "{type_}={status}: {message}");
        }
    }
}

fn file_text(file: &str) -> String {
    if file.is_empty() { "the manifest folder".to_owned() } else { format!("file {file}") }
}
