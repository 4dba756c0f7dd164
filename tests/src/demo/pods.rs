//! With nodes and pods: the chart installed by helm in a cluster of three nodes.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use lvs_tests::kubernetes::Kubernetes;
use lvs_tests::kubernetes::shop::{DIRECT, NAT, SERVICES, Shop, VALUES, fetch};

use crate::stage::{Stage, show};

const PICTURE: &str = "
  client 10.70.0.50 --+-- node1  director
                      +-- node2  director, and a pod with a web server
                      +-- node3  a pod with a web server
                      '-- behind them, 10.80.0.0/24: out1, out2  web servers that are no part of the cluster";

/// Plays all of it.
pub(crate) fn play(stage: Stage) -> anyhow::Result<()> {
    stage.introduce_with(
        "a real kernel with IPVS in one ordinary process, and in it a Kubernetes cluster: etcd,\n\
         kube-apiserver, its controllers, three nodes with kubelet, containerd, runc and kube-proxy.",
        PICTURE,
    );
    let cluster = stage.wait("Starting three nodes", || Kubernetes::start(3));
    let shop = stage.wait("Starting two pods", || Shop::open(&cluster, &["node2", "node3"]))?;
    stage.wait("Importing the images", || cluster.import_images())?;

    stage.part("1. helm install");
    kubectl(stage, &cluster, "label node node1 node2 kube-lvs.io/director=true")?;
    let values = Path::new("tests").join(VALUES);
    stage.output(&std::fs::read_to_string(&values)?);
    let install = "install kube-lvs charts/kube-lvs --namespace kube-lvs --create-namespace --wait";
    // Nobody upgrades it here.
    let at_once = "--set agent.minReadySeconds=0";
    helm(stage, &cluster, &format!("{install} --values {} {at_once}", values.display()))?;
    kubectl(stage, &cluster, "get pods --namespace kube-lvs -o wide")?;

    stage.part("2. A VIP over pods by direct routing, one over machines outside by NAT");
    stage.output(SERVICES);
    kubectl(stage, &cluster, "apply -f tests/bed/shop/services.yaml")?;
    kubectl(
        stage,
        &cluster,
        "wait --for=condition=Programmed lvsvs/direct lvsvs/nat --timeout=60s",
    )?;
    kubectl(stage, &cluster, "get lvs")?;
    show(stage, &cluster.machine(1).node, "ipvsadm -L -n")?;
    for address in [DIRECT, NAT] {
        stage.act("client", &format!("20 requests to http://{address}/"));
        stage.requests(20, |_| fetch(&shop.client, address))?;
    }

    stage.part("3. A kubelet is killed, operators are deleted: requests go on");
    let load = shop.load(DIRECT);
    cluster.machine(2).kill_kubelet();
    kubectl(
        stage,
        &cluster,
        "delete pod --namespace kube-lvs --selector app.kubernetes.io/component=operator --wait=false",
    )?;
    cluster.machine(2).start_kubelet(&cluster.plane)?;
    stage.wait("Waiting for kubelet", || cluster.wait_until_renewed(cluster.machine(2)))?;
    let answered = load.end_without_a_failure("a kubelet killed and operators deleted");
    stage.say(&format!("{answered} requests meanwhile, each was answered."));

    stage.part("4. helm uninstall leaves the nodes as they were");
    helm(stage, &cluster, "uninstall kube-lvs --namespace kube-lvs --wait")?;
    show(stage, &cluster.machine(1).node, "ipvsadm -L -n")?;
    show(stage, &cluster.machine(2).node, "ip -4 -brief addr show dev lo")
}

/// Shows a helm command, how long it takes, and all that it says.
fn helm(stage: Stage, cluster: &Kubernetes, words: &str) -> anyhow::Result<()> {
    stage.command("", &format!("helm {words}"));
    let said = stage.wait("Waiting", || cluster.helm(&format!("{words} --timeout 10m")))?;
    stage.output(&said);
    Ok(())
}

/// Shows a kubectl command with all that it says.
fn kubectl(stage: Stage, cluster: &Kubernetes, words: &str) -> anyhow::Result<()> {
    stage.command("", &format!("kubectl {words}"));
    let kubectl =
        Path::new(&std::env::var_os("BED_CONTROL_PLANE").unwrap_or_default()).join("kubectl");
    // Through a shell, so that the audience could type it.
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("exec \"$KUBECTL\" {words} 2>&1")])
        .env("KUBECTL", kubectl)
        .env("KUBECONFIG", cluster.plane.kubeconfig())
        .output()?;
    stage.output(&String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "kubectl {words} failed");
    Ok(())
}
