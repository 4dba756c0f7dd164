//! The reference of values, out of the chart's schema and its defaults.

use std::fmt::Write as _;

use anyhow::Context as _;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

const HEAD: &str = "\
# Values of the chart

Made from `charts/kube-lvs/values.schema.json` and `values.yaml`; edit there, then `make values`. helm refuses what is not
in it, and names it.

| value | default | what |
|---|---|---|
";

/// The page `docs/values.md`.
pub fn reference(schema: &Value, defaults: &Value) -> String {
    let mut page = HEAD.to_owned();
    each(schema, "", &mut |path, node| {
        let default = path.split('.').try_fold(defaults, |at, key| at.get(key));
        // A line for what has a value, and one for what has values of its own: its description.
        let is_folder = node.get("properties").is_some() && !path.is_empty();
        let default = match default {
            None => "-".to_owned(),
            Some(_) if is_folder => String::new(),
            Some(value) => format!("`{value}`"),
        };
        let description = node["description"].as_str().unwrap_or_default();
        let mut about = description.to_owned();
        if let Some(values) = node.get("enum").and_then(Value::as_array) {
            let values: Vec<_> = values.iter().map(|it| format!("`{it}`")).collect();
            let _ = write!(about, " One of {}.", values.join(", "));
        }
        if let (Some(low), Some(high)) = (node.get("minimum"), node.get("maximum")) {
            let _ = write!(about, " {low} to {high}.");
        }
        let _ = writeln!(page, "| `{path}` | {} | {} |", escaped(&default), escaped(&about));
    });
    page
}

/// What of the schema has no description, and what of the defaults the schema does not know.
pub fn undescribed(schema: &Value, defaults: &Value) -> Vec<String> {
    let mut found = Vec::new();
    each(schema, "", &mut |path, node| {
        if node["description"].as_str().is_none_or(str::is_empty) {
            found.push(format!("{path} has no description"));
        }
        if node.get("properties").is_some() && node["additionalProperties"] != false {
            found.push(format!("{path} takes what it does not know"));
        }
    });
    unknown(schema, defaults, "", &mut found);
    found
}

/// Where the generated part of the schema begins, which is its end.
const GENERATED: &str = "  \"definitions\": ";

/// The schema's text with what `defaultDirectorGroup.spec` may be, out of the CRD: helm then refuses what the API server would.
pub fn with_group_spec(schema: &str) -> anyhow::Result<String> {
    let crd = serde_json::to_value(lvs_crds::DirectorGroup::crd())?;
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut spec = crd.pointer(spec).context("the CRD has a spec")?.clone();
    make_strict(&mut spec);
    let definitions = serde_json::to_string_pretty(&json!({ "directorGroupSpec": spec }))?;
    let (written, _) = schema.split_once(GENERATED).context("the schema has definitions")?;
    Ok(format!("{written}{GENERATED}{}\n}}\n", definitions.replace('\n', "\n  ")))
}

/// A CRD's schema as one of JSON: an object knows no other fields, and Kubernetes' own words go.
fn make_strict(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            fields.retain(|key, _| !key.starts_with("x-kubernetes-") && key != "format");
            if fields.get("properties").is_some_and(|it| it.get("properties").is_none()) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(make_strict);
        }
        Value::Array(items) => items.iter_mut().for_each(make_strict),
        _ => {}
    }
}

fn unknown(schema: &Value, defaults: &Value, path: &str, found: &mut Vec<String>) {
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
    for (key, value) in defaults.as_object().into_iter().flatten() {
        let path = join(path, key);
        match known.get(key) {
            None => found.push(format!("{path} is not in the schema")),
            Some(node) => unknown(node, value, &path, found),
        }
    }
    let missing = known.keys().filter(|key| defaults.get(key).is_none());
    let optional = ["global", "limits", "cpu", "memory", "maxSurge"];
    let context = path.ends_with("seLinuxOptions");
    let missing = missing.filter(|key| !context && !optional.contains(&key.as_str()));
    found.extend(missing.map(|key| format!("{} has no default", join(path, key))));
}

fn each(node: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    let empty = Map::new();
    let properties = node.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (key, child) in properties {
        let path = join(path, key);
        see(&path, child);
        each(child, &path, see);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
