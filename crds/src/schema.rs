//! From the derived CRDs to those that are installed: schema hygiene, and the files of the chart.

use crate::node::node_mut;
use crate::rules;
use crate::tidy::tidy;
use crate::{DirectorGroup, LVSNode, RealServer, VirtualService, VirtualServiceSlice};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

/// Where the chart keeps the CRDs, from the workspace's root.
pub const CHART_FOLDER: &str = "charts/kube-lvs/files/crds";

const HEADER: &str =
    "# Generated from crds/src by `cargo run -p lvs-crds --bin crdgen`; edit there.\n";

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
            set_list_types(root);
            begin_unobserved(root);
            rules::attach(&crd.spec.names.kind, root);
        }
    }
    crd
}

/// A new object says that nobody has looked at it yet: by kstatus one without a status is done, and Flux and helm would wait
/// for nothing.
fn begin_unobserved(root: &mut JSONSchemaProps) {
    if node_mut(root, "status.conditions").is_some()
        && let Some(status) = node_mut(root, "status")
    {
        status.default = Some(JSON(serde_json::json!({ "observedGeneration": -1 })));
    }
}

/// Lists whose items have a key, so that server-side apply merges them item by item and refuses a key twice.
const KEYED_LISTS: &[(&str, &[&str])] =
    &[("spec.ports", &["port", "protocol"]), ("status.conditions", &["type"])];

/// Lists in which a value occurs once.
const SETS: &[&str] = &["spec.schedulerFlags"];

fn set_list_types(root: &mut JSONSchemaProps) {
    for (path, keys) in KEYED_LISTS {
        let Some(list) = node_mut(root, path) else { continue };
        let is_key = |key: &&str| match &list.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) => {
                item.properties.as_ref().is_some_and(|p| p.contains_key(*key))
            }
            _ => false,
        };
        // A RealServer's ports have no protocol, and a name that is optional: no key there.
        if keys.iter().all(is_key) {
            list.x_kubernetes_list_type = Some("map".to_owned());
            list.x_kubernetes_list_map_keys = Some(keys.iter().map(ToString::to_string).collect());
        }
    }
    for path in SETS {
        if let Some(list) = node_mut(root, path) {
            list.x_kubernetes_list_type = Some("set".to_owned());
        }
    }
}
