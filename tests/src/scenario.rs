//! What several suites begin with: the machines of the guide's two examples, manifests in one line, a steady load.

pub mod carrying;
mod cluster;
mod directors;
mod dr;
mod farm;
mod flat;
mod load;
mod manifest;
mod nat;
mod standalone;

pub use cluster::{AGENT, Cluster, metric};
pub use directors::{Directors, holders};
pub use dr::DrNet;
pub use farm::Farm;
pub use flat::Flat;
pub use load::Load;
use manifest::manifest;
pub use manifest::{director_group, real_server, virtual_service};
pub use nat::NatNet;
pub use standalone::Standalone;
