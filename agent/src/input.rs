//! What the agent is told: slices and DirectorGroups, from the API server, from files, or from the last run.

pub mod files;
pub mod kube;
pub mod saved;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lvs_crds::{DirectorGroup, VirtualServiceSlice};

/// Namespace and name of a slice.
pub type SliceName = (String, String);

/// News. Inputs send it to the engine; each part may be empty.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Slices as they are now; `None`: gone.
    pub slices: Vec<(SliceName, Option<VirtualServiceSlice>)>,
    /// DirectorGroups, by name, as they are now; `None`: gone.
    pub groups: Vec<(String, Option<DirectorGroup>)>,
    /// The newest resourceVersion of a slice that this tells of, a deletion's too.
    pub version: u64,
    /// What there is and cannot be read; what was known of it stays.
    pub unreadable: Vec<Unreadable>,
    /// All slices have been told; what was not named does not exist.
    pub slices_synced: bool,
    /// All DirectorGroups have been told.
    pub groups_synced: bool,
}

/// An object that is not understood, as that of a newer version may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What it is.
    pub kind: &'static str,
    /// Its namespace, if it is in one, and name.
    pub name: SliceName,
    /// The VirtualService that it is of, if it is of one.
    pub virtual_service: Option<String>,
    /// What is wrong with it.
    pub error: String,
}

/// The kind of slices.
pub const SLICE: &str = "VirtualServiceSlice";
/// The kind of DirectorGroups.
pub const GROUP: &str = "DirectorGroup";

/// A resourceVersion as a number; those of one kind compare as integers. 0 where there is none.
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// A slice's namespace and name.
pub fn slice_name(slice: &VirtualServiceSlice) -> SliceName {
    name(&slice.metadata)
}

/// An object's namespace, empty if it is in none, and name.
pub fn name(metadata: &ObjectMeta) -> SliceName {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}
