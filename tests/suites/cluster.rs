//! The chart on a real cluster: kubelets, containers, kube-proxy, and clients outside.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::kubernetes::shop::{DIRECT, NAT, Shop, services};
use lvs_tests::kubernetes::{Kubernetes, PATIENCE};
use lvs_tests::table::NodeState;

/// Boots, and runs a pod on each node.
#[test]
fn a_cluster_of_three_nodes_runs_pods() {
    in_guest(Guest::cluster(), || -> anyhow::Result<()> {
        let cluster = Kubernetes::start(3);
        let shop = Shop::open(&cluster, &["node1", "node2", "node3"])?;
        for number in 1..=3 {
            let shares = shop.shares(&format!("10.70.0.1{number}:80"), 1)?;
            ensure!(shares.contains_key(&format!("node{number}")), "{shares:?}");
        }
        Ok(())
    });
}
