//! What the operator would write into statuses, as one YAML file, and what has changed in it, for the terminal.

use crate::input::files::FileError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lvs_crds::{DirectorGroup, LVSNode, RealServer, VirtualService};
use serde::Serialize;
use std::collections::BTreeMap;

/// Every object with its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// VirtualServices.
    pub virtual_services: Vec<VirtualService>,
    /// RealServers.
    pub real_servers: Vec<RealServer>,
    /// DirectorGroups.
    pub groups: Vec<DirectorGroup>,
    /// This node's report.
    pub node: Option<LVSNode>,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    /// What is wrong with files, first: nothing below speaks of what could not be read.
    errors: Vec<Error<'a>>,
    items: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct Error<'a> {
    file: &'a str,
    message: &'a str,
}

/// The status file's text: a `List` of the objects with their statuses, which kubectl and yq read, plus `errors`.
///
/// # Errors
/// When an object cannot be written as YAML.
pub fn render(objects: &Objects, errors: &[FileError]) -> Result<String, RenderError> {
    let mut items = Vec::new();
    for object in &objects.virtual_services {
        items.push(serde_json::to_value(object)?);
    }
    for object in &objects.real_servers {
        items.push(serde_json::to_value(object)?);
    }
    for object in &objects.groups {
        items.push(serde_json::to_value(object)?);
    }
    if let Some(object) = &objects.node {
        items.push(serde_json::to_value(object)?);
    }
    let errors = errors.iter().map(|e| Error { file: &e.file, message: &e.message }).collect();
    let file = File { api_version: "v1", kind: "List", errors, items };
    Ok(serde_saphyr::to_string(&file)?)
}

/// Why the status could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// To JSON.
    #[error("status to JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// To YAML.
    #[error("status to YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// The conditions as last logged.
#[derive(Debug, Default)]
pub struct Transitions {
    conditions: BTreeMap<(String, String), (String, String)>,
    errors: Vec<FileError>,
}

impl Transitions {
    /// Logs what has changed since the last call.
    pub fn log(&mut self, objects: &Objects, errors: &[FileError]) {
        for error in errors.iter().filter(|error| !self.errors.contains(error)) {
            tracing::warn!(object = file_text(&error.file), "{}", error.message);
        }
        for error in self.errors.iter().filter(|old| !errors.iter().any(|e| e.file == old.file)) {
            tracing::info!(object = file_text(&error.file), "is good again");
        }
        self.errors = errors.to_vec();
        let mut now = BTreeMap::new();
        for object in &objects.virtual_services {
            let name = named("VirtualService", &object.metadata);
            let conditions = object.status.as_ref().map(|status| status.conditions.as_slice());
            self.compare(name, conditions.unwrap_or_default(), &mut now);
        }
        for object in &objects.real_servers {
            let name = named("RealServer", &object.metadata);
            let conditions = object.status.as_ref().map(|status| status.conditions.as_slice());
            self.compare(name, conditions.unwrap_or_default(), &mut now);
        }
        for object in &objects.groups {
            let name = named("DirectorGroup", &object.metadata);
            let conditions = object.status.as_ref().map(|status| status.conditions.as_slice());
            self.compare(name, conditions.unwrap_or_default(), &mut now);
        }
        self.conditions = now;
    }

    fn compare(
        &self,
        object: String,
        conditions: &[Condition],
        now: &mut BTreeMap<(String, String), (String, String)>,
    ) {
        for condition in conditions {
            let key = (object.clone(), condition.type_.clone());
            let value = (condition.status.clone(), condition.message.clone());
            if self.conditions.get(&key) != Some(&value) {
                let Condition { type_, status, reason, message, .. } = condition;
                tracing::info!(object, reason, "{type_}={status}: {message}");
            }
            now.insert(key, value);
        }
    }
}

fn named(
    kind: &str,
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> String {
    let name = metadata.name.as_deref().unwrap_or_default();
    match metadata.namespace.as_deref() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn file_text(file: &str) -> String {
    if file.is_empty() { "the manifest folder".to_owned() } else { format!("file {file}") }
}
