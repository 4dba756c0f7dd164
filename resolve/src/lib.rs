//! From what users wrote and what the cluster has to what is to be programmed. Pure: no I/O, no clock, no netlink.
//!
//! Fill a [`Snapshot`], ask [`resolve`] what one VirtualService's slices are to be, write them, put what was written
//! back into the snapshot, and ask [`virtual_service_status`] what its status is. The operator does so against the
//! API server, the standalone agent against a folder of files.

mod carriers;
mod claim;
mod group;
mod health;
mod key;
mod listing;
mod lookup;
mod mark;
mod node;
mod place;
mod probers;
mod ranges;
mod real_server;
pub mod reason;
mod resolution;
mod resolve;
mod selector;
mod services;
mod snapshot;
pub mod spread;
mod status;
mod testimony;

pub use carriers::{carriers_of, services_floating_with};
pub use claim::{Claim, Place, held, wanted};
pub use group::{
    GroupResolution, NodeSettings, directors, gateways, node_settings, resolve_group, seniority,
};
pub use health::{Finding, ServerHealth, server_health};
pub use key::Key;
pub use mark::{balanced_mark, is_kept_mark};
pub use node::NodeFacts;
pub use place::slice_name;
pub use probers::{Probers, Question, questions};
pub use resolution::{DesiredSlice, LeftOut, Resolution, Verdict};
pub use resolve::resolve;
pub use selector::{InvalidSelector, check as check_selector, matches};
pub use snapshot::{Snapshot, reported_addresses};
pub use status::{
    RealServerReport, director_group_status, real_server_status, virtual_service_status,
};
pub use testimony::LIFETIME;
