//! From the version whose chart had CRDs and rights only, and whose CRDs are older.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::kubernetes::Kubernetes;
use lvs_tests::kubernetes::shop::{DIRECT, NAT, SERVICES, Shop};

use serde_json::Value;

use super::{RELEASE, follows_a_weight, helm, pods, wait_until_programmed};

/// As one had to write them then.
const WORKLOADS: &str = include_str!("../../bed/shop/previous.yaml");

#[test]
fn the_version_before_is_upgraded_under_load_and_rolled_back() {
    in_guest(Guest::cluster().with_previous(), || -> anyhow::Result<()> {
        // Directors of their own: in that version one that is a real server too resets what another still forwards to it while
        // it gives its VIPs away.
        let cluster = Kubernetes::start(4);
        cluster.plane.kubectl(&["label", "node", "node1", "node4", "kube-lvs.io/director=true"])?;
        let shop = Shop::open(&cluster, &["node2", "node3"])?;
        cluster.import_images()?;
        let chart = cluster.import_previous()?;
        let told = story(&cluster, &shop, &format!("'{}'", chart.display()));
        assert!(told.is_ok(), "{:?}", told.err());
        Ok(())
    });
}

fn story(cluster: &Kubernetes, shop: &Shop, chart: &str) -> anyhow::Result<()> {
    cluster.helm(&format!("install {RELEASE} {chart} --create-namespace"))?;
    cluster.plane.apply(WORKLOADS)?;
    cluster.plane.apply(SERVICES)?;
    serves(cluster, shop)?;
    ensure!(!crds_are_current(cluster)?, "that version's CRDs are not older");

    let loads = [shop.load(DIRECT), shop.load(NAT)];
    let taken = "--take-ownership --force-conflicts --wait --timeout 4m";
    helm(cluster, &format!("upgrade {RELEASE} CHART {taken}"))?;
    for component in ["agent", "operator"] {
        let images = images(cluster, component)?;
        ensure!(images.iter().all(|image| !image.ends_with(":previous")), "{images:?}");
    }
    ensure!(crds_are_current(cluster)?, "the CRDs are still the older ones");
    serves(cluster, shop)?;
    for load in loads {
        load.end_without_a_failure("from the version before to this one");
    }

    // There was no program in that release, so all agents go at once: not under load.
    cluster.helm("rollback kube-lvs 1 --namespace kube-lvs --wait --timeout 4m")?;
    cluster.plane.apply(WORKLOADS)?;
    for component in ["deployment/kube-lvs-operator", "daemonset/kube-lvs-agent"] {
        let wait = ["--namespace=kube-lvs", "rollout", "status", component, "--timeout=300s"];
        cluster.plane.kubectl(&wait)?;
    }
    serves(cluster, shop)
}

fn serves(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    follows_a_weight(cluster, shop)?;
    shop.wait_for_servers(NAT, &["out1", "out2"]);
    wait_until_programmed(cluster)
}

/// Whether the API server has the chart's CRDs: they explain a field otherwise than that version's.
fn crds_are_current(cluster: &Kubernetes) -> anyhow::Result<bool> {
    let explained = |crd: &Value| {
        let field =
            "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/reportTime";
        let field = crd.pointer(field).context("LVSNodes have a reportTime")?;
        anyhow::Ok(field["description"].clone())
    };
    let there = cluster.plane.kubectl(&["get", "crd", "lvsnodes.kube-lvs.io", "--output=json"])?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/kube-lvs");
    let ours: Value =
        serde_saphyr::from_str(&fs::read_to_string(chart.join("files/crds/lvsnodes.yaml"))?)?;
    let (there, ours) = (explained(&serde_json::from_str(&there)?)?, explained(&ours)?);
    if there != ours {
        println!("the CRD says {there}, the chart's {ours}");
    }
    Ok(there == ours)
}

fn images(cluster: &Kubernetes, component: &str) -> anyhow::Result<Vec<String>> {
    let specs = pods(cluster, component)?.into_iter().filter_map(|pod| pod.spec);
    Ok(specs.flat_map(|spec| spec.containers).filter_map(|container| container.image).collect())
}
