//! What a single object can get wrong: each rule once as CEL, for the API server, with its Rust twin beside it, for
//! manifests that never meet one. Both say the same message at the same field; [`crate::cases`] holds them equal.
//!
//! What a schema can say by itself (types, ranges, enums, lengths) is no rule: [`crate::structure`] checks it against
//! the very schema that the API server gets.

mod director_group;
mod health_check;
mod names;
mod net;
mod object_meta;
mod real_server;
mod selector;
#[cfg(test)]
mod tests;
mod tunnel;
mod virtual_service;

pub(crate) use object_meta::check as check_metadata;

use crate::node::node_mut;
use crate::{DirectorGroup, HealthCheck, RealServer, Tunnel, VirtualService};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, ValidationRule,
};
use std::fmt;

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.ports[0].port`.
    pub field: String,
    /// What is wrong with it, and the fix.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A rule about `S`, and where it stands in the schema of `S`.
pub(crate) struct Rule<S> {
    /// The schema node that has the CEL rule: `ports`, or `addresses[]` for each item; empty for `S` itself.
    at: &'static str,
    /// The field below that node that is blamed, such as `.ports`; empty for the node itself.
    blames: &'static str,
    cel: &'static str,
    message: &'static str,
    /// The twin: the fields of a subject that break the rule, as paths from `S`.
    broken: fn(&S) -> Vec<String>,
}

/// The fields to blame where a rule can only break as a whole.
fn blame_if(broken: bool, field: &str) -> Vec<String> {
    if broken { vec![field.to_owned()] } else { Vec::new() }
}

/// The items that break a rule, as `list[index]` and what follows.
fn blame_items<T>(list: &str, items: &[T], rest: &str, broken: impl Fn(&T) -> bool) -> Vec<String> {
    let indices = items.iter().enumerate().filter(|(_, item)| broken(item)).map(|(index, _)| index);
    indices.map(|index| format!("{list}[{index}]{rest}")).collect()
}

fn check<S>(rules: &[Rule<S>], prefix: &str, subject: &S, found: &mut Vec<Violation>) {
    for rule in rules {
        found.extend((rule.broken)(subject).into_iter().map(|field| Violation {
            field: join(prefix, &field),
            message: rule.message.to_owned(),
        }));
    }
}

fn join(prefix: &str, field: &str) -> String {
    match field {
        "" => prefix.to_owned(),
        _ => format!("{prefix}.{field}"),
    }
}

/// Puts the rules of a kind into its schema.
pub(crate) fn attach(kind: &str, root: &mut JSONSchemaProps) {
    match kind {
        "VirtualService" => {
            object_meta::limit_name(root, virtual_service::MAX_NAME);
            for rules in virtual_service::RULES {
                attach_all(rules, "spec", root);
            }
            attach_all(tunnel::RULES, "spec.tunnel", root);
            attach_all(health_check::RULES, "spec.healthCheck", root);
            selector::attach("spec.realServers.selector", root);
        }
        "RealServer" => {
            attach_all(real_server::RULES, "spec", root);
            attach_all(tunnel::RULES, "spec.tunnel", root);
            attach_all(health_check::RULES, "spec.healthCheck", root);
        }
        "DirectorGroup" => {
            for rules in director_group::RULES {
                attach_all(rules, "spec", root);
            }
            selector::attach("spec.nodeSelector", root);
            selector::attach("spec.allowedNamespaces", root);
        }
        _ => {}
    }
}

fn attach_all<S>(rules: &[Rule<S>], prefix: &str, root: &mut JSONSchemaProps) {
    for rule in rules {
        let Some(node) = node_mut(root, &join(prefix, rule.at)) else { continue };
        node.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: rule.cel.to_owned(),
            message: Some(rule.message.to_owned()),
            field_path: (!rule.blames.is_empty()).then(|| rule.blames.to_owned()),
            ..ValidationRule::default()
        });
    }
}

/// The rules alone, for an object whose metadata and structure have been checked.
pub(crate) trait CheckRules {
    fn check_rules(&self, found: &mut Vec<Violation>);
}

impl CheckRules for VirtualService {
    fn check_rules(&self, found: &mut Vec<Violation>) {
        for rules in virtual_service::RULES {
            check(rules, "spec", &self.spec, found);
        }
        check_tunnel(self.spec.tunnel.as_ref(), found);
        check_health(self.spec.health_check.as_ref(), found);
        selector::check(&self.spec.real_servers.selector, "spec.realServers.selector", found);
    }
}

impl CheckRules for RealServer {
    fn check_rules(&self, found: &mut Vec<Violation>) {
        check(real_server::RULES, "spec", &self.spec, found);
        check_tunnel(self.spec.tunnel.as_ref(), found);
        check_health(self.spec.health_check.as_ref(), found);
    }
}

fn check_health(health: Option<&HealthCheck>, found: &mut Vec<Violation>) {
    if let Some(health) = health {
        check(health_check::RULES, "spec.healthCheck", health, found);
    }
}

fn check_tunnel(tunnel: Option<&Tunnel>, found: &mut Vec<Violation>) {
    if let Some(tunnel) = tunnel {
        check(tunnel::RULES, "spec.tunnel", tunnel, found);
    }
}

impl CheckRules for DirectorGroup {
    fn check_rules(&self, found: &mut Vec<Violation>) {
        for rules in director_group::RULES {
            check(rules, "spec", &self.spec, found);
        }
        selector::check(&self.spec.node_selector, "spec.nodeSelector", found);
        if let Some(namespaces) = &self.spec.allowed_namespaces {
            selector::check(namespaces, "spec.allowedNamespaces", found);
        }
    }
}
