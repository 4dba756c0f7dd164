//! The Rust half of the table of cases; the suite `api` runs the same table through a real API server.

use crate::cases::{self, Case, Verdict};
use crate::manifest::{self, ManifestError, Object, Problem};
use crate::{DirectorGroup, RealServer, Validate, Violation, VirtualService};
use serde::de::DeserializeOwned;
use std::collections::HashSet;

fn parse(case: &Case) -> Result<Object, ManifestError> {
    let mut results = manifest::parse(&case.manifest);
    assert_eq!(results.len(), 1, "{}", case.name);
    results.remove(0)
}

#[test]
fn a_manifest_gets_the_verdict_of_its_case() {
    for case in cases::all() {
        match (case.verdict, parse(&case)) {
            (Verdict::Accept, Ok(_)) => {}
            (Verdict::Accept, Err(error)) => panic!("{}: refused: {error}", case.name),
            (Verdict::Reject { .. }, Ok(_)) => panic!("{}: accepted", case.name),
            (Verdict::Reject { field, message }, Err(error)) => {
                let Problem::Invalid(found) = &error.problem else {
                    panic!("{}: {error}", case.name)
                };
                let named = |v: &Violation| v.field == field && v.message.contains(message);
                assert!(found.iter().any(|l| named(&l.violation)), "{}: {error}", case.name);
                // One mistake, one complaint.
                assert_eq!(found.len(), 1, "{}: {error}", case.name);
            }
        }
    }
}

fn validate<K: DeserializeOwned + Validate>(case: &Case) -> Option<Result<(), Vec<Violation>>> {
    Some(serde_json::from_str::<K>(&case.manifest).ok()?.validate())
}

#[test]
fn a_typed_object_gets_the_verdict_of_its_case() {
    let mut judged = 0;
    for case in cases::all() {
        let verdict = match case.name.split(':').next() {
            Some("VirtualService") => validate::<VirtualService>(&case),
            Some("RealServer") => validate::<RealServer>(&case),
            _ => validate::<DirectorGroup>(&case),
        };
        // What serde itself refuses never becomes an object; what it drops cannot be seen on one.
        let Some(verdict) = verdict else { continue };
        judged += 1;
        match case.verdict {
            Verdict::Accept => assert_eq!(verdict, Ok(()), "{}", case.name),
            Verdict::Reject { message: "unknown field", .. } => {}
            Verdict::Reject { field, message } => {
                let found = verdict.expect_err(&case.name);
                let named = |v: &Violation| v.field == field && v.message.contains(message);
                assert!(found.iter().any(named), "{}: {found:?}", case.name);
            }
        }
    }
    assert!(judged > 100, "{judged}");
}

#[test]
fn every_case_has_its_own_name() {
    let mut names = HashSet::new();
    for case in cases::all() {
        assert!(names.insert(case.name.clone()), "{}", case.name);
    }
}

#[test]
fn every_message_of_a_rule_is_shown_by_a_case() {
    let rejections: Vec<_> = cases::all().iter().filter_map(|c| parse(c).err()).collect();
    let shown: Vec<_> = rejections.iter().map(ToString::to_string).collect();
    let mut rules = 0;
    for crd in crate::all_crds() {
        let text = serde_json::to_value(&crd).unwrap();
        for rule in find_rules(&text) {
            rules += 1;
            let message = rule["message"].as_str().unwrap();
            assert!(shown.iter().any(|s| s.contains(message)), "no case shows: {message}");
        }
    }
    assert!(rules > 40, "{rules}");
}

fn find_rules(value: &serde_json::Value) -> Vec<&serde_json::Value> {
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("x-kubernetes-validations", serde_json::Value::Array(rules)) => {
                    rules.iter().collect()
                }
                _ => find_rules(value),
            })
            .collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(find_rules).collect(),
        _ => Vec::new(),
    }
}
