//! Whether the CRDs of a cluster are as new as this program. On an older one the API server silently drops what it does not
//! know, and what is written is not what was meant.

use crate::VERSION;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// The fields of `ours` that `installed` lacks; of a field that is missing whole, not those in it. A newer CRD, which has
/// more, lacks nothing.
pub fn lacking(
    installed: &CustomResourceDefinition,
    ours: &CustomResourceDefinition,
) -> Vec<String> {
    let Some(wanted) = schema(ours) else { return Vec::new() };
    let Some(there) = schema(installed) else { return vec![format!("version {VERSION}")] };
    let mut lacking = Vec::new();
    compare(there, wanted, "", &mut lacking);
    lacking
}

fn schema(crd: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    let version = crd.spec.versions.iter().find(|it| it.name == VERSION && it.served)?;
    version.schema.as_ref()?.open_api_v3_schema.as_ref()
}

fn compare(
    there: &JSONSchemaProps,
    wanted: &JSONSchemaProps,
    path: &str,
    lacking: &mut Vec<String>,
) {
    for (name, wanted) in wanted.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match there.properties.as_ref().and_then(|known| known.get(name)) {
            Some(there) => compare(there, wanted, &path, lacking),
            None => lacking.push(path),
        }
    }
    if let (Some(there), Some(wanted)) = (item(there), item(wanted)) {
        compare(there, wanted, &format!("{path}[]"), lacking);
    }
}

fn item(list: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match list.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::all_crds;
    use crate::node::node_mut;

    fn crd() -> CustomResourceDefinition {
        all_crds().into_iter().find(|crd| crd.spec.names.kind == "VirtualService").unwrap()
    }

    fn root(crd: &mut CustomResourceDefinition) -> &mut JSONSchemaProps {
        crd.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap()
    }

    #[test]
    fn what_an_older_crd_lacks_is_named_by_its_path() {
        let (mut old, new) = (crd(), crd());
        assert_eq!(lacking(&old, &new), Vec::<String>::new());
        node_mut(root(&mut old), "spec").unwrap().properties.as_mut().unwrap().remove("nat");
        let ports = node_mut(root(&mut old), "spec.ports").unwrap();
        let Some(JSONSchemaPropsOrArray::Schema(port)) = &mut ports.items else { panic!("a list") };
        port.properties.as_mut().unwrap().remove("endPort");
        assert_eq!(lacking(&old, &new), ["spec.nat", "spec.ports[].endPort"]);
        assert_eq!(lacking(&new, &old), Vec::<String>::new(), "a newer one is no fault");
        old.spec.versions[0].served = false;
        assert_eq!(lacking(&old, &new), ["version v1alpha1"]);
    }
}
