//! What the API server asks of every object's metadata, for manifests that never meet one.

use super::{Violation, names};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

const SUBDOMAIN: &str =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'";
const LABEL: &str =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'";

/// Limits the length of the kind's names; the schema may say that much about metadata.
pub(super) fn limit_name(root: &mut JSONSchemaProps, length: i64) {
    let name = JSONSchemaProps {
        type_: Some("string".to_owned()),
        max_length: Some(length),
        ..JSONSchemaProps::default()
    };
    let metadata = JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some([("name".to_owned(), name)].into()),
        ..JSONSchemaProps::default()
    };
    root.properties.get_or_insert_default().insert("metadata".to_owned(), metadata);
}

/// Checks name, namespace and labels; their types have been checked.
pub(crate) fn check(object: &Value, namespaced: bool, found: &mut Vec<Violation>) {
    let mut blame = |field: &str, message: &str| {
        found.push(Violation { field: format!("metadata.{field}"), message: message.to_owned() });
    };
    let metadata = &object["metadata"];
    match metadata["name"].as_str() {
        None | Some("") => {
            blame("name", "name or generateName is required; give the object a name")
        }
        Some(name) if !names::is_dns_subdomain(name) => blame("name", SUBDOMAIN),
        Some(_) => {}
    }
    if namespaced && metadata["namespace"].as_str().is_some_and(|n| !names::is_dns_label(n)) {
        blame("namespace", LABEL);
    }
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        if !names::is_label_key(key) {
            blame(
                "labels",
                &format!(
                    "{key:?}: a label's key is a name part of letters, digits, '-', '_' and '.', with or without a DNS subdomain and '/' before it"
                ),
            );
        }
        if value.as_str().is_some_and(|v| !names::is_label_value(v)) {
            blame(
                "labels",
                &format!(
                    "{value}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
                ),
            );
        }
    }
}
