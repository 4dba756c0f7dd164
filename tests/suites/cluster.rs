//! The chart on a real cluster: kubelets, containers, kube-proxy, and clients outside.

mod previous;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use lvs_crds::VirtualService;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::kubernetes::shop::{self, DIRECT, NAT, SERVICES, Shop};
use lvs_tests::kubernetes::{Kubernetes, PATIENCE, ProxyMode};
use lvs_tests::table::NodeState;
use lvs_tests::{eventually, wait_for};

const RELEASE: &str = "kube-lvs --namespace kube-lvs";
/// The VIPs, as kube-proxy in ipvs mode has to be told of them.
const EXCLUDED: &[&str] = &["--ipvs-exclude-cidrs", "10.70.0.100/31"];

/// Kinds of which the chart makes objects, or those do.
const OURS: &str = "deployments,daemonsets,replicasets,pods,configmaps,serviceaccounts,roles,rolebindings,clusterroles,\
                    clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,\
                    poddisruptionbudgets,networkpolicies,jobs";

/// helm; CHART is the chart of this checkout, with the values of the shop.
fn helm(cluster: &Kubernetes, words: &str) -> anyhow::Result<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (chart, values) = (tests.join("../charts/kube-lvs"), tests.join(shop::VALUES));
    let chart = format!("'{}' --values '{}'", chart.display(), values.display());
    cluster.helm(&words.replace("CHART", &chart))
}

/// The pods of a component of ours.
fn pods(cluster: &Kubernetes, component: &str) -> anyhow::Result<Vec<Pod>> {
    let of_component = |pod: &Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("app.kubernetes.io/component"))
            == Some(&component.to_owned())
    };
    Ok(cluster.plane.list::<Pod>()?.into_iter().filter(of_component).collect())
}

/// How often the containers of a node's pods of ours have been started, by container.
fn restarts(cluster: &Kubernetes, node: &str) -> anyhow::Result<Vec<(String, i32)>> {
    let on_node =
        |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let mut all = Vec::new();
    for pod in cluster.plane.list::<Pod>()?.into_iter().filter(on_node) {
        for container in pod.status.unwrap_or_default().container_statuses.unwrap_or_default() {
            all.push((container.container_id.unwrap_or_default(), container.restart_count));
        }
    }
    all.sort();
    Ok(all)
}

fn wait_until_programmed(cluster: &Kubernetes) -> anyhow::Result<()> {
    for service in ["direct", "nat"] {
        let name = format!("virtualservice/{service}");
        cluster.plane.kubectl(&["wait", "--for=condition=Programmed", "--timeout=120s", &name])?;
    }
    Ok(())
}

/// Three nodes, of which two are to be directors, with our images; web servers on two nodes and outside, and a client.
fn begin() -> anyhow::Result<(Kubernetes, Shop)> {
    let cluster = Kubernetes::start(3);
    cluster.plane.kubectl(&["label", "node", "node1", "node2", "kube-lvs.io/director=true"])?;
    let shop = Shop::open(&cluster, &["node2", "node3"])?;
    cluster.import_images()?;
    Ok((cluster, shop))
}

#[test]
fn what_helm_installs_serves_survives_and_leaves_nothing() {
    in_guest(Guest::cluster(), || -> anyhow::Result<()> {
        let (mut cluster, shop) = begin()?;
        // What kube-proxy leaves of each mode is not ours to explain.
        for mode in [ProxyMode::Iptables, ProxyMode::Ipvs, ProxyMode::Nftables] {
            run_kube_proxy(&mut cluster, mode, EXCLUDED)?;
        }
        let before: Vec<_> =
            cluster.machines.iter().map(|machine| NodeState::of(&machine.node)).collect();

        let told = story(&mut cluster, &shop, &before[..2]);
        assert!(told.is_ok(), "{:?}", told.err());
        Ok(())
    });
}

fn story(cluster: &mut Kubernetes, shop: &Shop, before: &[NodeState]) -> anyhow::Result<()> {
    let start = Instant::now();
    let told = |what: &str| println!("{:.0} s: {what}", start.elapsed().as_secs_f64());
    serves(cluster, shop)?;
    told("installed, and served");
    outlives_its_operator_and_kubelet(cluster, shop)?;
    told("operators and a kubelet killed");
    is_upgraded_and_rolled_back_under_load(cluster, shop)?;
    told("upgraded and rolled back");
    stands_beside_kube_proxy(cluster, shop)?;
    told("kube-proxy in its modes");
    loses_a_node(cluster, shop)?;
    told("a node removed");
    leaves_nothing(cluster, before)?;
    told("uninstalled");
    Ok(())
}

fn serves(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    helm(cluster, &format!("install {RELEASE} CHART --create-namespace --wait --timeout 4m"))?;
    cluster.plane.apply(SERVICES)?;
    shop.wait_for_servers(DIRECT, &["node2", "node3"]);
    shop.wait_for_servers(NAT, &["out1", "out2"]);
    wait_until_programmed(cluster)?;
    whoever_edits_a_namespace_edits_services_there(cluster)?;
    let told = helm(cluster, "test kube-lvs --namespace kube-lvs --timeout 5m")?;
    ensure!(told.contains("Succeeded"), "{told}");
    // No more rights than it says, as the kernel sees it: NET_ADMIN and NET_RAW (capability.h, 12 and 13).
    let mut agents = String::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
        if status.starts_with("Name:\tlvs-agent\n") {
            let told = ["CapEff:", "CapPrm:", "CapBnd:", "NoNewPrivs:", "Seccomp:"];
            let lines = status.lines().filter(|line| told.iter().any(|it| line.starts_with(it)));
            agents.extend(lines.flat_map(|line| [line, "\n"]));
        }
    }
    ensure!(agents.contains("CapEff:\t0000000000003000"), "{agents}");
    ensure!(
        agents.lines().filter(|line| line.starts_with("Cap")).all(|line| line.ends_with("3000")),
        "{agents}"
    );
    ensure!(agents.contains("NoNewPrivs:\t1") && agents.contains("Seccomp:\t2"), "{agents}");
    Ok(())
}

/// The role that every cluster has for it is added to by its own controller.
fn whoever_edits_a_namespace_edits_services_there(cluster: &Kubernetes) -> anyhow::Result<()> {
    let binding = ["create", "rolebinding", "dev", "--clusterrole=edit", "--user=dev"];
    cluster.plane.kubectl(&binding)?;
    let may =
        |verb: &str, kind: &str| cluster.plane.kubectl(&["auth", "can-i", verb, kind, "--as=dev"]);
    may("create", "virtualservices.kube-lvs.io")?;
    may("list", "virtualserviceslices.kube-lvs.io")?;
    ensure!(
        may("create", "virtualserviceslices.kube-lvs.io").is_err(),
        "slices are the operator's"
    );
    Ok(())
}

/// A change of now reaches the kernels: `node3` is drained, and takes part again.
fn follows_a_weight(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    for (weight, servers) in [(0, &["node2"][..]), (1, &["node2", "node3"])] {
        cluster.plane.kubectl(&[
            "patch",
            "realserver",
            "node3",
            "--type=merge",
            &format!("--patch={{\"spec\":{{\"weight\":{weight}}}}}"),
        ])?;
        shop.wait_for_servers(DIRECT, servers);
    }
    Ok(())
}

fn outlives_its_operator_and_kubelet(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    let loads = [shop.load(DIRECT), shop.load(NAT)];
    cluster.plane.kubectl(&[
        "--namespace=kube-lvs",
        "delete",
        "pod",
        "--grace-period=0",
        "--force",
        "--wait=false",
        "--selector=app.kubernetes.io/component=operator",
    ])?;
    // Whoever takes over has to do something that is seen.
    follows_a_weight(cluster, shop)?;

    let machine = cluster.machine(2);
    let started = restarts(cluster, "node2")?;
    machine.kill_kubelet();
    machine.start_kubelet(&cluster.plane)?;
    // Its lease is renewed by the kubelet of now only.
    cluster.wait_until_renewed(machine)?;
    ensure!(restarts(cluster, "node2")? == started, "containers were restarted with kubelet");
    for load in loads {
        load.end_without_a_failure("operator killed, kubelet restarted");
    }
    Ok(())
}

/// Every agent is another one then.
fn is_upgraded(cluster: &Kubernetes) -> anyhow::Result<()> {
    let names = |component: &str| -> anyhow::Result<Vec<_>> {
        Ok(pods(cluster, component)?.into_iter().map(|pod| pod.metadata.uid).collect())
    };
    let old = names("agent")?;
    let values = "--set agent.logLevel=debug,operator.logLevel=debug";
    helm(cluster, &format!("upgrade {RELEASE} CHART {values} --wait --timeout 4m"))?;
    let new = names("agent")?;
    ensure!(new.len() == 3 && new.iter().all(|uid| !old.contains(uid)), "{old:?}, then {new:?}");
    Ok(())
}

fn is_upgraded_and_rolled_back_under_load(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    let loads = [shop.load(DIRECT), shop.load(NAT)];
    is_upgraded(cluster)?;
    helm(cluster, "rollback kube-lvs 1 --namespace kube-lvs --wait --timeout 4m")?;
    shop.wait_for_servers(DIRECT, &["node2", "node3"]);
    for load in loads {
        load.end_without_a_failure("upgrade and rollback");
    }
    Ok(())
}

/// Starts it on each node, and waits until it serves: the API server's Service answers.
fn run_kube_proxy(cluster: &mut Kubernetes, mode: ProxyMode, words: &[&str]) -> anyhow::Result<()> {
    let words = if mode == ProxyMode::Ipvs { words } else { &[] };
    for machine in &mut cluster.machines {
        machine.start_proxy_with(&cluster.plane, mode, words)?;
    }
    let rules = match mode {
        ProxyMode::Iptables => "iptables -w -S KUBE-FORWARD | grep -w INVALID",
        ProxyMode::Ipvs => "ipvsadm -Ln | grep -w 10.96.0.1:443",
        ProxyMode::Nftables => "nft list chain ip kube-proxy services",
    };
    for machine in &cluster.machines {
        wait_for(&format!("kube-proxy serves with {mode:?}"), PATIENCE, || {
            machine.node.sh(rules)?;
            machine.node.sh("curl -sk --max-time 2 https://10.96.0.1/livez")
        });
    }
    Ok(())
}

fn stands_beside_kube_proxy(cluster: &mut Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    for mode in [ProxyMode::Iptables, ProxyMode::Ipvs] {
        let loads = [shop.load(DIRECT), shop.load(NAT)];
        run_kube_proxy(cluster, mode, EXCLUDED)?;
        for load in loads {
            load.wait_for_more(50);
            load.end_without_a_failure(&format!("kube-proxy with {mode:?}"));
        }
    }
    // Not told of our addresses it deletes them, and we say so.
    for machine in &mut cluster.machines {
        machine.start_proxy_with(&cluster.plane, ProxyMode::Ipvs, &[])?;
    }
    wait_for("it is said that kube-proxy deletes our services", PATIENCE, || {
        let seen = cluster.plane.kubectl(&["get", "lvsnode", "-o", "yaml"])?;
        ensure!(seen.contains("KubeProxyIPVS") && seen.contains("10.70.0.100/32"), "{seen}");
        anyhow::Ok(())
    });
    run_kube_proxy(cluster, ProxyMode::Nftables, &[])?;
    shop.wait_for_servers(DIRECT, &["node2", "node3"]);
    shop.wait_for_servers(NAT, &["out1", "out2"]);
    Ok(())
}

fn loses_a_node(cluster: &Kubernetes, shop: &Shop) -> anyhow::Result<()> {
    cluster.machine(3).kill_kubelet();
    cluster.plane.kubectl(&["delete", "node", "node3"])?;
    shop.wait_for_servers(DIRECT, &["node2"]);
    shop.wait_for_servers(NAT, &["out1", "out2"]);
    Ok(())
}

fn leaves_nothing(cluster: &Kubernetes, before: &[NodeState]) -> anyhow::Result<()> {
    helm(cluster, &format!("uninstall {RELEASE} --wait --timeout 4m"))?;
    for (machine, before) in cluster.machines.iter().zip(before) {
        let name = machine.node.name();
        eventually(
            &format!("{name} is what it was before"),
            Duration::from_secs(10),
            || ours(NodeState::of(&machine.node).changes_since(before)),
            |changes| changes.is_empty(),
        );
    }
    wait_for("nothing of ours is left in the cluster", PATIENCE, || {
        let left = cluster.plane.kubectl(&[
            "get",
            "--all-namespaces",
            "--selector=app.kubernetes.io/name=kube-lvs",
            "--output=name",
            OURS,
        ])?;
        ensure!(left.trim().is_empty(), "{left}");
        anyhow::Ok(())
    });
    let crds: Vec<CustomResourceDefinition> = cluster.plane.list()?;
    ensure!(crds.len() == 5, "the CRDs stay: {}", crds.len());
    let services: Vec<VirtualService> = cluster.plane.list()?;
    ensure!(services.len() == 2, "users' objects stay: {}", services.len());
    Ok(())
}

/// Without what kube-proxy and the pod network change on their own: its rules follow each Service and pod, and in ipvs mode
/// it leaves services and connection tracking behind.
fn ours(changes: Vec<String>) -> Vec<String> {
    let others = [
        "nftables:",
        "veth",
        "cni0",
        "kube-ipvs0",
        "nodelocal",
        "10.244.",
        "10.96.0.1:443",
        "net/ipv4/vs/conntrack",
    ];
    let rules = |line: &String| line.contains("nftables:") && line.contains("kube-lvs");
    changes
        .into_iter()
        .filter(|line| rules(line) || !others.iter().any(|other| line.contains(other)))
        .collect()
}
