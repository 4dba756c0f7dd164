//! From the derived CRDs to those that are installed: schema hygiene, and the files of the chart.

use crate::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

/// Where the chart keeps the CRDs, from the workspace's root.
pub const CHART_FOLDER: &str = "charts/kube-lvs/crds";

const HEADER: &str = "# Generated from crds/src by `cargo run -p lvs-crds --bin crdgen`; edit there.\n";

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrdFile {
    /// `<plural>.yaml`
    pub name: String,
    /// One CRD, with a header that says where it comes from.
    pub text: String,
}

/// Every CRD of the project as it is installed, in the order in which to install.
///
/// Use these rather than `Kind::crd()`: the derived ones lack the rules.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    [
        DirectorGroup::crd(),
        RealServer::crd(),
        VirtualService::crd(),
        VirtualServiceSlice::crd(),
        LVSNode::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// The files that `crdgen` writes.
///
/// # Errors
/// Never for the CRDs of this crate; the serializer's type says otherwise.
pub fn crd_files() -> Result<Vec<CrdFile>, serde_saphyr::ser::Error> {
    all_crds()
        .iter()
        .map(|crd| {
            Ok(CrdFile {
                name: format!("{}.yaml", crd.spec.names.plural),
                text: format!("{HEADER}{}", serde_saphyr::to_string(crd)?),
            })
        })
        .collect()
}

fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
            tidy(root);
        }
    }
    crd
}

/// Formats that the API server knows among those that schemars writes; it warns about any other.
const KNOWN_FORMATS: &[&str] = &["int32", "int64", "float", "double", "date-time"];

fn tidy(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|f| !KNOWN_FORMATS.contains(&f)) {
        schema.format = None;
    }
    // A null is then dropped before defaults are filled in, so that a rule's `has()` means what it says.
    schema.nullable = None;
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
