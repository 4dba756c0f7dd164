//! Finding a node of a schema by a path.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// The node at a path such as `spec.ports[].name`: `[]` goes to a list's items, `{}` to a map's values; the empty path
/// is the node itself.
pub(crate) fn node_mut<'a>(
    root: &'a mut JSONSchemaProps,
    path: &str,
) -> Option<&'a mut JSONSchemaProps> {
    let mut node = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, mut rest) = step.split_at(step.find(['[', '{']).unwrap_or(step.len()));
        node = node.properties.as_mut()?.get_mut(name)?;
        while !rest.is_empty() {
            node = if let Some(after) = rest.strip_prefix("[]") {
                rest = after;
                match node.items.as_mut()? {
                    JSONSchemaPropsOrArray::Schema(items) => items,
                    JSONSchemaPropsOrArray::Schemas(_) => return None,
                }
            } else {
                rest = rest.strip_prefix("{}")?;
                match node.additional_properties.as_mut()? {
                    JSONSchemaPropsOrBool::Schema(values) => values,
                    JSONSchemaPropsOrBool::Bool(_) => return None,
                }
            };
        }
    }
    Some(node)
}
