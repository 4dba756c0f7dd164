//! What an installation is told and tells: nodes given back, the default group, the check of `helm test`, and what is
//! wrong with the CRDs, the pod or the node.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use lvs_crds::{CLEAN_UP, DirectorGroup, LVSNode, VirtualService, VirtualServiceSlice};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::{ControlPlane, program, state_dir};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};
use lvs_tests::table::NodeState;
use lvs_tests::wait_for;

const VIP: &str = "10.0.0.10:80";
/// What users are promised.
const SOON: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_installation_is_checked_given_back_and_taken_away() {
    installation(Guest::control_plane());
}

pub(crate) fn installation(guest: Guest) {
    let guest = guest.virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.0.0.1/24");
        // As in a pod: /proc/sys is the container's own, and the host's stands elsewhere.
        let sysctls = "/tmp/host/proc/sys";
        let mut cluster = Cluster::start_with(&["--sysctl-root", sysctls]);
        fs::create_dir_all(format!("{sysctls}/net"))?;
        Node::here().sh(&format!("mount --bind /proc/sys/net {sysctls}/net"))?;
        let said = operator_says(&cluster.plane, &["check", "--wait", "2s"]).expect_err("nobody");
        assert!(said.contains("no agent has reported"), "{said}");
        let before = cluster.add_director(&director);
        the_default_group_is_made_and_left_to_its_admin(&mut cluster)?;
        cluster.apply(&virtual_service("web", "addresses: [10.0.0.10], forwarding: NAT"));
        cluster.apply(&real_server("rs", "web", "address: 10.0.0.2"));
        cluster.wait_for("virtualservice/web", "Programmed");
        assert_eq!(director.read_sysctl("net.ipv4.ip_forward"), "1");
        let said = operator_says(&cluster.plane, &["check"]).map_err(anyhow::Error::msg)?;
        assert!(said.contains("1 agents report, 1 DirectorGroups, 1 VirtualServices"), "{said}");

        kube_proxy_in_ipvs_mode_is_told_by_name(&cluster, &director);
        what_an_older_crd_drops_is_told(&mut cluster, &director)?;
        a_node_is_given_back_and_taken_again(&mut cluster, &director, &before)?;
        nothing_is_left_but_what_users_wrote(&mut cluster, &director, &before)
    });
}

/// A subcommand of the operator, with all rights, and what it has printed.
fn operator_says(plane: &ControlPlane, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program("lvs-operator"))
        .arg("--kubeconfig")
        .arg(plane.kubeconfig())
        .args(words)
        .output()
        .map_err(|e| e.to_string())?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn the_default_group_is_made_and_left_to_its_admin(cluster: &mut Cluster) -> anyhow::Result<()> {
    let spec = "/tmp/default-group.json";
    fs::write(spec, r#"{"nodeSelector": {"matchLabels": {"kube-lvs.io/director": "true"}}}"#)?;
    cluster.kill_operator();
    let start = |cluster: &Cluster| {
        let mut command = cluster.plane.operator_command();
        Node::here().spawn(command.args(["--default-group", spec]))
    };
    let first = start(cluster);
    wait_for("the default group is there", PATIENCE, || {
        cluster.plane.get_cluster::<DirectorGroup>("default")
    });
    drop(first);
    // The admin has the say on what he has changed.
    let change = r#"[{"op": "add", "path": "/spec/nodeSelector/matchLabels/kube-lvs.io~1director", "value": "yes"}]"#;
    cluster.patch("directorgroup/default", change);
    let second = start(cluster);
    wait_for("the refusal is logged", PATIENCE, || {
        let log = second.log();
        ensure!(log.contains("somebody else has changed the DirectorGroup"), "{log}");
        Ok(())
    });
    let group: DirectorGroup = cluster.plane.get_cluster("default")?;
    assert!(format!("{:?}", group.spec.node_selector).contains("yes"));
    drop(second);
    cluster.patch("directorgroup/default", &change.replace("yes", "true"));
    cluster.start_operator();
    Ok(())
}

fn report(cluster: &Cluster) -> anyhow::Result<lvs_crds::LVSNodeStatus> {
    cluster.plane.get_cluster::<LVSNode>("director")?.status.context("no report")
}

fn kube_proxy_in_ipvs_mode_is_told_by_name(cluster: &Cluster, director: &Node) {
    let warned = || -> anyhow::Result<String> {
        let warnings = report(cluster)?.warnings;
        let found = warnings.iter().find(|it| it.reason == "KubeProxyIPVS");
        Ok(found.with_context(|| format!("{warnings:?}"))?.message.clone())
    };
    // What kube-proxy does to a service that it does not know (cleanLegacyService in pkg/proxy/ipvs/proxier.go).
    let delete = format!("ipvsadm -D -t {VIP}");
    director.sh("ip link add kube-ipvs0 type dummy").expect("its interface");
    wait_for("the agent has put the service back, and says who deletes it", SOON, || {
        if director.service(VIP).is_some() {
            director.sh(&delete)?;
        }
        warned()
    });
    wait_for("the service is back", SOON, || director.service(VIP).ok_or("not yet"));
    let said = warned().expect("it stays");
    assert!(said.contains("excludeCIDRs") && said.contains("10.0.0.10/32"), "{said}");
    director.sh("ip link del kube-ipvs0").expect("it goes");
}

fn what_an_older_crd_drops_is_told(cluster: &mut Cluster, director: &Node) -> anyhow::Result<()> {
    let crd = "crd/lvsnodes.kube-lvs.io";
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/table";
    let whole = cluster.plane.read(crd)?.context("the CRD")?.data;
    cluster.patch(crd, &format!(r#"[{{"op": "remove", "path": "{path}"}}]"#));
    // One that finds it tells so at once; one that runs tells with its next report.
    cluster.kill_agent(director);
    cluster.start_agent(director);
    wait_for("the agent names the field", SOON, || {
        let warnings = report(cluster)?.warnings;
        let found = warnings.iter().find(|it| it.reason == "OutdatedCRD");
        let found = found.with_context(|| format!("{warnings:?}"))?;
        ensure!(found.message.contains("lvsnodes.kube-lvs.io"), "{}", found.message);
        ensure!(found.message.contains("status.table"), "{}", found.message);
        Ok(())
    });
    // An operator of this version does not start on it, and says so where the kubelet looks.
    let told = "/tmp/termination-log";
    let mut command = cluster.plane.operator_command();
    let mut operator = Node::here().spawn(command.args(["--termination-log", told]));
    let ended = operator.wait(SOON)?;
    assert!(!ended.success(), "{}", operator.log());
    let said = fs::read_to_string(told)?;
    let reason = "the CRD lvsnodes.kube-lvs.io is older than this operator: it lacks status.table;";
    assert!(said.starts_with(reason), "{said}");
    let table = whole.pointer(path).context("the field")?;
    cluster.patch(crd, &format!(r#"[{{"op": "add", "path": "{path}", "value": {table}}}]"#));
    wait_for("the agent is content", PATIENCE, || {
        let warnings = report(cluster)?.warnings;
        ensure!(warnings.iter().all(|it| it.reason != "OutdatedCRD"), "{warnings:?}");
        Ok(())
    });
    Ok(())
}

fn given_back(cluster: &Cluster) -> anyhow::Result<()> {
    let status = report(cluster)?;
    let reasons: Vec<_> = status.failures.iter().map(|it| it.reason.as_str()).collect();
    ensure!(reasons == ["CleanedUp"] && status.display == "given back", "{status:?}");
    Ok(())
}

fn a_node_is_given_back_and_taken_again(
    cluster: &mut Cluster,
    director: &Node,
    before: &NodeState,
) -> anyhow::Result<()> {
    assert!(!director.services().is_empty());
    cluster.kubectl(&format!("annotate lvsnode director {CLEAN_UP}=please"))?;
    wait_for("the node is given back", PATIENCE, || given_back(cluster));
    NodeState::of(director).assert_same_as(before);
    assert!(cluster.agent(director).log().contains("annotation") || director.services().is_empty());
    wait_for("the status says whose doing it is", PATIENCE, || {
        let said = cluster.condition("virtualservice/web", "Programmed");
        ensure!(said.status == "False" && said.message.contains("CleanedUp"), "{said:?}");
        Ok(())
    });
    // A restart, as by the kubelet: it stays given back.
    cluster.kill_agent(director);
    cluster.start_agent(director);
    cluster.wait_until_ready(director);
    NodeState::of(director).assert_same_as(before);
    cluster.kubectl(&format!("annotate lvsnode director {CLEAN_UP}-"))?;
    cluster.wait_for("virtualservice/web", "Programmed");
    assert!(director.service(VIP).is_some());
    Ok(())
}

fn nothing_is_left_but_what_users_wrote(
    cluster: &mut Cluster,
    director: &Node,
    before: &NodeState,
) -> anyhow::Result<()> {
    // The Job's rights are tested where there are Jobs; here it has all.
    cluster.kill_operator();
    let said = operator_says(&cluster.plane, &["uninstall", "--wait", "30s"])
        .map_err(anyhow::Error::msg)?;
    assert!(said.contains("deleted 1 slices and 1 LVSNodes"), "{said}");
    assert!(said.contains("deleted DirectorGroup default"), "{said}");
    NodeState::of(director).assert_same_as(before);
    assert!(cluster.plane.list::<VirtualServiceSlice>()?.is_empty());
    let leases = cluster.plane.list::<Lease>()?;
    assert!(leases.iter().all(|lease| lease.name_any() != "kube-lvs-operator"), "{leases:?}");
    assert_eq!(cluster.plane.list::<VirtualService>()?.len(), 1, "it is the user's");
    cluster.stop_agent(director);
    assert!(cluster.plane.list::<LVSNode>()?.is_empty(), "no agent makes its own anew");
    // Installed again: the agent does not wait for a wish that nobody can take back.
    cluster.start_operator();
    cluster.apply(&director_group("default", ""));
    cluster.start_agent(director);
    cluster.wait_for("virtualservice/web", "Programmed");
    Ok(())
}

#[test]
fn an_agent_that_cannot_work_says_why_where_the_kubelet_looks() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let node = Node::new("node");
        let told = Path::new("/tmp/termination-log");
        let agent = program("lvs-agent");
        fs::create_dir_all("/tmp/manifests")?;
        let try_to = |before: &[&str], arguments: &[&str]| -> anyhow::Result<(i32, String)> {
            let mut words: Vec<&str> = before.to_vec();
            words.push(agent.to_str().context("UTF-8")?);
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(["--manifests", "/tmp/manifests", "--state-dir"]);
            command.arg(state_dir(&node)).arg("--termination-log").arg(told).args(arguments);
            let mut daemon = node.spawn(&mut command);
            let status = daemon.wait(SOON).with_context(|| daemon.log())?;
            Ok((status.code().unwrap_or(-1), fs::read_to_string(told).unwrap_or_default()))
        };
        let (code, said) = try_to(&[], &["--sysctl-root", "/host/proc/sys"])?;
        assert_eq!(code, 2);
        assert!(said.starts_with("--sysctl-root /host/proc/sys: there is no"), "{said}");
        assert!(said.contains("hostPath"), "{said}");
        let without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
        let (code, said) = try_to(&without, &[])?;
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("capabilities.add: [NET_ADMIN]"), "{said}");
        Ok(())
    });
}
