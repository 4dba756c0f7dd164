//! An object by itself: its structure, its metadata, then the rules of its kind, as the API server does it.

use crate::rules::{CheckRules as _, Violation, check_metadata};
use crate::{DirectorGroup, RealServer, VirtualService, structure};
use serde::Serialize;

/// The check that the API server makes when an object is created.
pub trait Validate {
    /// Checks the object by itself: schema, metadata and rules. What depends on other objects is not looked at.
    ///
    /// # Errors
    /// Everything that is wrong with it, at least one.
    fn validate(&self) -> Result<(), Vec<Violation>>;
}

impl Validate for VirtualService {
    fn validate(&self) -> Result<(), Vec<Violation>> {
        finish(self, "VirtualService", true, |found| self.check_rules(found))
    }
}

impl Validate for RealServer {
    fn validate(&self) -> Result<(), Vec<Violation>> {
        finish(self, "RealServer", true, |found| self.check_rules(found))
    }
}

impl Validate for DirectorGroup {
    fn validate(&self) -> Result<(), Vec<Violation>> {
        finish(self, "DirectorGroup", false, |found| self.check_rules(found))
    }
}

fn finish(
    object: &impl Serialize,
    kind: &str,
    namespaced: bool,
    check_rules: impl FnOnce(&mut Vec<Violation>),
) -> Result<(), Vec<Violation>> {
    let mut found = Vec::new();
    match serde_json::to_value(object) {
        Ok(mut value) => {
            structure::check(kind, &mut value, &mut found);
            check_metadata(&value, namespaced, &mut found);
        }
        Err(error) => found.push(Violation { field: kind.to_owned(), message: error.to_string() }),
    }
    // As the API server does: rules presuppose the structure.
    if found.is_empty() {
        check_rules(&mut found);
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}
