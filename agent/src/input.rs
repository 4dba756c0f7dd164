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
    /// All slices have been told; what was not named does not exist.
    pub slices_synced: bool,
    /// All DirectorGroups have been told.
    pub groups_synced: bool,
}

/// A resourceVersion as a number; those of one kind compare as integers. 0 where there is none.
pub fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// A slice's namespace and name.
pub fn slice_name(slice: &VirtualServiceSlice) -> SliceName {
    (
        slice.metadata.namespace.clone().unwrap_or_default(),
        slice.metadata.name.clone().unwrap_or_default(),
    )
}
