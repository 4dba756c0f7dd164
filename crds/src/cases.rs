//! The table of cases that holds the rules' two halves equal: each manifest gets its verdict from the Rust twins here
//! (unit test) and from a real API server (suite `api`), with the same text at the same field.

mod director_group;
mod health_check;
mod real_server;
mod selector;
#[cfg(test)]
mod tests;
mod tunnel;
mod virtual_service;

use serde_json::{Map, Value};

/// One manifest and what becomes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique, and says what is special about the manifest.
    pub name: String,
    /// The manifest, of one document, as JSON (which is YAML).
    pub manifest: String,
    /// What has to become of it.
    pub verdict: Verdict,
}

/// What has to become of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is created.
    Accept,
    /// It is refused.
    Reject {
        /// The field that the refusal names.
        field: &'static str,
        /// A part of the refusal's text.
        message: &'static str,
    },
}

/// A case as it is written in the tables: a valid object and what to change in it.
struct Row {
    name: &'static str,
    /// Path and JSON text; an empty text removes the field.
    edits: &'static [(&'static str, &'static str)],
    verdict: Verdict,
}

const fn accept(name: &'static str, edits: &'static [(&'static str, &'static str)]) -> Row {
    Row { name, edits, verdict: Verdict::Accept }
}

const fn reject(
    name: &'static str,
    edits: &'static [(&'static str, &'static str)],
    field: &'static str,
    message: &'static str,
) -> Row {
    Row { name, edits, verdict: Verdict::Reject { field, message } }
}

/// Every case.
///
/// # Panics
/// On a table that is not well-formed: an error in this crate's tests.
pub fn all() -> Vec<Case> {
    let tables: [(_, _, &[&[Row]]); 4] = [
        ("VirtualService", virtual_service::BASE, virtual_service::ROWS),
        (
            "VirtualService",
            virtual_service::BASE,
            &[selector::ROWS, tunnel::ROWS, health_check::ROWS],
        ),
        ("RealServer", real_server::BASE, &[real_server::ROWS, tunnel::ROWS, health_check::ROWS]),
        (
            "DirectorGroup",
            director_group::BASE,
            &[
                director_group::ROWS,
                director_group::SETTINGS,
                director_group::MEMBERS,
                director_group::FAILOVER,
            ],
        ),
    ];
    let build = |(kind, base, rows): (&str, &str, &[&[Row]])| -> Vec<Case> {
        rows.iter().flat_map(|rows| rows.iter()).map(|row| row.build(kind, base)).collect()
    };
    tables.into_iter().flat_map(build).collect()
}

impl Row {
    fn build(&self, kind: &str, base: &str) -> Case {
        let mut manifest = json(base);
        for (path, text) in self.edits {
            set(&mut manifest, path, (!text.is_empty()).then(|| json(text)));
        }
        Case {
            name: format!("{kind}: {}", self.name),
            manifest: manifest.to_string(),
            verdict: self.verdict,
        }
    }
}

#[allow(clippy::panic)] // The tables are part of the source.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Sets or removes the value at a path such as `spec.ports[0].name`; objects on the way are made.
#[allow(clippy::panic)] // As above.
fn set(value: &mut Value, path: &str, new: Option<Value>) {
    let path = path.replace('[', ".[");
    let mut steps = path.split('.').peekable();
    let mut target = value;
    while let Some(step) = steps.next() {
        if let Some(index) = step.strip_prefix('[') {
            let index = index.trim_end_matches(']').parse::<usize>().ok();
            target = index
                .and_then(|index| target.get_mut(index))
                .unwrap_or_else(|| panic!("{path}: no such item"));
            continue;
        }
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Some(fields) = target.as_object_mut() else { return };
        if steps.peek().is_none() && new.is_none() {
            fields.remove(step);
            return;
        }
        target = fields.entry(step).or_insert(Value::Null);
    }
    if let Some(new) = new {
        *target = new;
    }
}
