//! Manifest files: YAML or JSON text, possibly of several documents, to objects.
//!
//! Strict, since nobody else looks: what the API server would refuse or `kubectl --validate=strict` would, is an error
//! that names field and line. A bad document is an error of its own and costs the others nothing.

mod error;
mod split;
#[cfg(test)]
mod tests;
mod tree;

pub use error::{Located, ManifestError, Problem};

use crate::rules::CheckRules;
use crate::{DirectorGroup, GROUP, RealServer, VERSION, Violation, VirtualService, structure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tree::Tree;

/// The largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 3 << 20;
/// The largest document of a file, in bytes; what etcd takes from an API server is of this order.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// An object that a manifest may hold: valid by itself, every default filled in. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A VirtualService.
    VirtualService(Arc<VirtualService>),
    /// A RealServer.
    RealServer(Arc<RealServer>),
    /// A DirectorGroup.
    DirectorGroup(Arc<DirectorGroup>),
}

impl Object {
    /// The kinds that a manifest may hold.
    pub const KINDS: &[&str] = &["VirtualService", "RealServer", "DirectorGroup"];

    /// The kind, such as `VirtualService`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::VirtualService(_) => "VirtualService",
            Self::RealServer(_) => "RealServer",
            Self::DirectorGroup(_) => "DirectorGroup",
        }
    }
}

/// Reads a manifest file's text: one result a document, in their order. Documents of nothing but comments are skipped.
///
/// A file that is too large, or that has no document at all, is a single error: an editor that has just emptied it to
/// write it anew must not look like a wish to delete everything.
pub fn parse(text: &str) -> Vec<Result<Object, ManifestError>> {
    Documents::default().parse(text)
}

/// The good documents of a manifest file as it was read last, so that reading it again costs what has changed.
#[derive(Debug, Default)]
pub struct Documents {
    known: HashMap<String, Object>,
}

impl Documents {
    /// As [`parse`]. A document whose text stood in the file before, wherever, is not read anew.
    pub fn parse(&mut self, text: &str) -> Vec<Result<Object, ManifestError>> {
        if text.len() > MAX_FILE_BYTES {
            return vec![Err(ManifestError::of_file(Problem::FileTooLarge(text.len())))];
        }
        let documents = split::documents(text);
        if documents.is_empty() {
            return vec![Err(ManifestError::of_file(Problem::Empty))];
        }
        let mut before = std::mem::take(&mut self.known);
        let mut read_or_known = |document: split::Document| {
            let known = match before.remove(&document.text) {
                Some(object) => Ok(object),
                // One text twice in a file is one object twice, which is the caller's to refuse.
                None => match self.known.get(&document.text) {
                    Some(object) => Ok(object.clone()),
                    None => read(&document.text, document.first_line),
                },
            };
            if let Ok(object) = &known {
                self.known.insert(document.text, object.clone());
            }
            known
        };
        documents.into_iter().map(&mut read_or_known).collect()
    }

    /// As [`Documents::parse`], for a file's bytes: text that is no UTF-8 is a single error.
    pub fn parse_bytes(&mut self, bytes: &[u8]) -> Vec<Result<Object, ManifestError>> {
        if bytes.len() > MAX_FILE_BYTES {
            return vec![Err(ManifestError::of_file(Problem::FileTooLarge(bytes.len())))];
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.parse(text),
            Err(error) => vec![Err(ManifestError::of_file(Problem::NotText(error)))],
        }
    }
}

/// As [`parse`], for a file's bytes: text that is no UTF-8 is a single error.
pub fn parse_bytes(bytes: &[u8]) -> Vec<Result<Object, ManifestError>> {
    Documents::default().parse_bytes(bytes)
}

/// Reads one document, whose first line is `first_line` of the file.
fn read(text: &str, first_line: usize) -> Result<Object, ManifestError> {
    let kind = || looks_like(text);
    let fail =
        |problem| ManifestError { line: Some(first_line), object: None, kind: kind(), problem };
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(fail(Problem::DocumentTooLarge(text.len())));
    }
    let tree = Tree::parse(text).map_err(|error| error.in_document(text, first_line))?;
    let mut value = tree.to_json();
    if !value.is_object() {
        return Err(fail(Problem::NotAnObject));
    }
    let kind = kind_of(&value).map_err(fail)?;
    let document = Document { first_line, kind, name: name_of(kind, &value), tree: &tree };
    default_namespace(kind, &mut value);
    match kind {
        "VirtualService" => document.decode(kind, value).map(Arc::new).map(Object::VirtualService),
        "RealServer" => document.decode(kind, value).map(Arc::new).map(Object::RealServer),
        _ => document.decode(kind, value).map(Arc::new).map(Object::DirectorGroup),
    }
}

/// The kind, if it is one that a manifest may hold.
fn kind_of(value: &Value) -> Result<&'static str, Problem> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (Some(api_version), Some(kind)) = (api_version, kind) else {
        return Err(Problem::NoKind);
    };
    let known = Object::KINDS.iter().find(|known| **known == kind);
    match known {
        Some(known) if api_version == format!("{GROUP}/{VERSION}") => Ok(known),
        _ => Err(Problem::UnknownKind { api_version, kind }),
    }
}

/// The word after the first `kind:`, in block or flow style or JSON, of a text that may be no YAML.
fn looks_like(text: &str) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric();
    text.match_indices("kind").find_map(|(at, key)| {
        let before = text.get(..at)?.chars().next_back();
        let rest = text.get(at + key.len()..)?.trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix(':')?.trim_start_matches([' ', '\t', '"', '\'']);
        let end = value.find(|c| !is_word(c)).unwrap_or(value.len());
        let word = value.get(..end).filter(|word| !word.is_empty())?;
        (!before.is_some_and(is_word)).then(|| word.to_owned())
    })
}

/// `VirtualService web/shop`, as far as the document says.
fn name_of(kind: &str, value: &Value) -> String {
    let name = value["metadata"]["name"].as_str().unwrap_or("without a name");
    match value["metadata"]["namespace"].as_str() {
        Some(namespace) if kind != "DirectorGroup" => format!("{kind} {namespace}/{name}"),
        _ => format!("{kind} {name}"),
    }
}

fn default_namespace(kind: &str, value: &mut Value) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if kind == "DirectorGroup" {
        metadata.remove("namespace");
    } else if metadata.get("namespace").is_none_or(Value::is_null) {
        metadata.insert("namespace".to_owned(), DEFAULT_NAMESPACE.into());
    }
}

struct Document<'a> {
    first_line: usize,
    kind: &'static str,
    name: String,
    tree: &'a Tree,
}

impl Document<'_> {
    fn decode<K: DeserializeOwned + CheckRules>(
        &self,
        kind: &str,
        mut value: Value,
    ) -> Result<K, ManifestError> {
        let mut found = Vec::new();
        structure::check(kind, &mut value, &mut found);
        crate::rules::check_metadata(&value, kind != "DirectorGroup", &mut found);
        if !found.is_empty() {
            return Err(self.invalid(found));
        }
        let object: K =
            serde_json::from_value(value).map_err(|error| self.fail(Problem::Decode(error)))?;
        object.check_rules(&mut found);
        if found.is_empty() { Ok(object) } else { Err(self.invalid(found)) }
    }

    fn invalid(&self, violations: Vec<Violation>) -> ManifestError {
        let locate = |violation: Violation| Located {
            line: self.tree.line_of(&violation.field).map(|line| self.first_line + line - 1),
            violation,
        };
        self.fail(Problem::Invalid(violations.into_iter().map(locate).collect()))
    }

    fn fail(&self, problem: Problem) -> ManifestError {
        let (object, kind) = (Some(self.name.clone()), Some(self.kind.to_owned()));
        ManifestError { line: Some(self.first_line), object, kind, problem }
    }
}
