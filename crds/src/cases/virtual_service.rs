//! VirtualServices, right and wrong, by subject.

mod addresses;
mod firewall_mark;
mod forwarding;
mod health;
mod object;
mod persistence;
mod ports;
mod scheduling;

use super::Row;

pub(super) const BASE: &str = r#"{
  "apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService",
  "metadata": {"name": "web", "namespace": "default"},
  "spec": {
    "addresses": ["192.168.0.10"],
    "ports": [{"port": 80}],
    "realServers": {"selector": {"matchLabels": {"app": "web"}}}
  }
}"#;

pub(super) const ROWS: &[&[Row]] = &[
    object::ROWS,
    addresses::ROWS,
    ports::ROWS,
    firewall_mark::ROWS,
    forwarding::ROWS,
    scheduling::ROWS,
    persistence::ROWS,
    health::ROWS,
];
