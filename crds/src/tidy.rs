//! A derived schema as the API server and `kubectl explain` want it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Formats that the API server knows among those that schemars writes; it warns about any other.
const KNOWN_FORMATS: &[&str] = &["int32", "int64", "float", "double", "date-time"];

pub(crate) fn tidy(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|f| !KNOWN_FORMATS.contains(&f)) {
        schema.format = None;
    }
    // A null is then dropped before defaults are filled in, so that a rule's `has()` means what it says.
    schema.nullable = None;
    schema.description = schema.description.as_deref().map(unwrap_lines);
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

/// Doc comments are broken at the source's width; `kubectl explain` breaks lines itself. Paragraphs and list items stay.
fn unwrap_lines(text: &str) -> String {
    let mut unwrapped = String::with_capacity(text.len());
    for line in text.lines().map(str::trim) {
        let begins = line.is_empty() || line.starts_with("- ") || unwrapped.ends_with("\n\n");
        if !unwrapped.is_empty() && !unwrapped.ends_with("\n\n") {
            unwrapped.push(if begins { '\n' } else { ' ' });
        }
        unwrapped.push_str(line);
        if line.is_empty() {
            unwrapped.push('\n');
        }
    }
    unwrapped
}
