//! The kube-lvs API, `kube-lvs.io/v1alpha1`: types, rules and the generated CRDs. No I/O, no netlink, no clock.
//!
//! One file a kind. What a single object can get wrong is a rule: once as CEL in the CRD, once as its Rust
//! twin for manifests that never meet an API server; a table of cases holds the two equal.

#[cfg(any(test, feature = "cases"))]
pub mod cases;
mod condition;
mod director_group;
mod health_check;
pub mod installed;
mod lvs_node;
pub mod manifest;
mod node;
mod real_server;
mod rules;
mod schema;
mod slice;
mod structure;
mod terms;
mod tidy;
mod validate;
mod virtual_service;

pub use condition::*;
pub use director_group::*;
pub use health_check::*;
pub use lvs_node::*;
pub use real_server::*;
pub use rules::Violation;
pub use schema::*;
pub use slice::*;
pub use terms::*;
pub use validate::Validate;
pub use virtual_service::*;

/// API group of every kind here.
pub const GROUP: &str = "kube-lvs.io";
/// API version of every kind here.
pub const VERSION: &str = "v1alpha1";
/// Annotation of an LVSNode: its agent gives the node back, as it was, and does nothing until the annotation is gone.
pub const CLEAN_UP: &str = "kube-lvs.io/clean-up";
