//! The API as a real kube-apiserver and kubectl have it: the CRDs, their rules, defaults, columns and explanations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource as _;
use kube::api::PostParams;
use lvs_crds::cases::{self, Case, Verdict};
use lvs_crds::{DirectorGroup, RealServer, VirtualService};
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::ControlPlane;
use lvs_tests::wait_for;
use serde_json::{Value, json};

fn guest() -> Guest {
    Guest::control_plane().virtual_time().limit(Duration::from_secs(300))
}

#[test]
fn every_case_gets_from_the_api_server_the_verdict_that_it_gets_from_the_rules_in_rust() {
    every_case(guest());
}

pub(crate) fn every_case(guest: Guest) {
    in_guest(guest, || -> anyhow::Result<()> {
        let cluster = ControlPlane::start();
        let wrong: Vec<_> =
            cases::all().iter().filter_map(|case| disagreement(&cluster, case)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

/// What is wrong with the API server's verdict, if anything is.
fn disagreement(cluster: &ControlPlane, case: &Case) -> Option<String> {
    let name = &case.name;
    match (case.verdict, create(cluster, case)) {
        (Verdict::Accept, Ok(_)) => None,
        (Verdict::Accept, Err(error)) => Some(format!("{name}: refused: {error}")),
        (Verdict::Reject { .. }, Ok(_)) => Some(format!("{name}: accepted")),
        (Verdict::Reject { field, message }, Err(error)) => {
            let told = error.to_string();
            let same = told.contains(field) && told.contains(message);
            (!same).then(|| format!("{name}: {field:?} and {message:?} are not in: {told}"))
        }
    }
}

/// Creates the case's object without storing it, as strictly as `kubectl apply` would.
fn create(cluster: &ControlPlane, case: &Case) -> anyhow::Result<Value> {
    let object: Value = serde_json::from_str(&case.manifest)?;
    let path = match object["kind"].as_str() {
        Some("VirtualService") => VirtualService::url_path(&(), Some("default")),
        Some("RealServer") => RealServer::url_path(&(), Some("default")),
        Some("DirectorGroup") => DirectorGroup::url_path(&(), None),
        kind => anyhow::bail!("{}: no case has the kind {kind:?}", case.name),
    };
    let params = PostParams { dry_run: true, field_manager: None };
    let create = kube::core::Request::new(path).create(&params, case.manifest.clone().into());
    let mut request = create?;
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse()?;
    let answer = cluster.block_on(cluster.client().request(request));
    answer.map_err(|error| match error {
        kube::Error::Api(status) => anyhow::Error::msg(status.message.clone()),
        other => other.into(),
    })
}

#[test]
fn an_admin_meets_an_api_that_explains_itself() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let cluster = ControlPlane::start();
        the_crds_are_established_without_a_warning(&cluster)?;
        kubectl_explains_what_lvs_is(&cluster)?;
        every_example_is_accepted(&cluster)?;
        a_stored_object_shows_its_defaults(&cluster)?;
        several_managers_share_a_list_of_ports(&cluster)?;
        kubectl_get_lvs_reads_like_ipvsadm(&cluster)?;
        Ok(())
    });
}

fn the_crds_are_established_without_a_warning(cluster: &ControlPlane) -> anyhow::Result<()> {
    for crd in lvs_crds::all_crds() {
        let name = crd.metadata.name.unwrap_or_default();
        let stored: CustomResourceDefinition = cluster.get_cluster(&name)?;
        let conditions = stored.status.and_then(|s| s.conditions).unwrap_or_default();
        let status =
            |wanted: &str| conditions.iter().find(|c| c.type_ == wanted).map(|c| c.status.as_str());
        assert_eq!(status("Established"), Some("True"), "{name}");
        assert_eq!(status("NonStructuralSchema"), None, "{name}: {conditions:?}");
        let file =
            root().join(lvs_crds::CHART_FOLDER).join(format!("{}.yaml", crd.spec.names.plural));
        let file = file.to_str().context("a path in UTF-8")?;
        cluster.kubectl(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--warnings-as-errors",
            "-f",
            file,
        ])?;
    }
    Ok(())
}

fn kubectl_explains_what_lvs_is(cluster: &ControlPlane) -> anyhow::Result<()> {
    let explain = |field: &str| cluster.kubectl(&["explain", field]);
    let scheduler = explain("virtualservice.spec.scheduler")?;
    for part in ["Default: wlc", "- rr: round robin", "- wlc: weighted least-connection", "- twos:"]
    {
        assert!(scheduler.contains(part), "{part}: {scheduler}");
    }
    let forwarding = explain("lvsvs.spec.forwarding")?;
    for part in ["enum", "NAT", "arp_ignore=1", "default gateway"] {
        let shown = forwarding.to_lowercase().contains(&part.to_lowercase());
        assert!(shown, "{part}: {forwarding}");
    }
    let weight = explain("realserver.spec.weight")?;
    assert!(weight.contains("Default: 1") && weight.contains("<integer>"), "{weight}");
    assert!(explain("directorgroup.spec.natGateways")?.contains("10.0.0.234/24"));
    let tunnel = explain("realserver.spec.tunnel.type")?;
    assert!(tunnel.contains("- gue: ") && tunnel.contains("32 bytes"), "{tunnel}");
    let mark = explain("virtualservice.spec.firewallMark")?;
    for part in ["ipvsadm `-f`", "destinations", "rules", "4294967295", "Default: off"] {
        assert!(mark.contains(part), "{part}: {mark}");
    }
    Ok(())
}

fn every_example_is_accepted(cluster: &ControlPlane) -> anyhow::Result<()> {
    let mut applied = 0;
    for entry in std::fs::read_dir(root().join("examples"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path)?;
            cluster.apply(&text).with_context(|| path.display().to_string())?;
            applied += 1;
        }
    }
    assert!(applied > 10, "{applied}");
    Ok(())
}

fn a_stored_object_shows_its_defaults(cluster: &ControlPlane) -> anyhow::Result<()> {
    cluster.apply(
        "apiVersion: kube-lvs.io/v1alpha1\n\
         kind: VirtualService\n\
         metadata: {name: plain}\n\
         spec:\n  addresses: [192.168.0.200]\n  ports: [{port: 80}]\n  persistence: {}\n  \
         realServers: {selector: {}}\n---\n\
         apiVersion: kube-lvs.io/v1alpha1\n\
         kind: RealServer\n\
         metadata: {name: plain}\n\
         spec: {address: 192.168.0.101}\n",
    )?;
    let spec = |object: &str| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&cluster.kubectl(&["get", object, "-o", "jsonpath={.spec}"])?)?)
    };
    assert_eq!(
        spec("virtualservice/plain")?,
        json!({
            "addresses": ["192.168.0.200"], "ports": [{"port": 80, "protocol": "TCP"}], "scheduler": "wlc",
            "forwarding": "DR", "persistence": {"timeoutSeconds": 300}, "realServers": {"selector": {}},
            "directorGroup": "default",
        })
    );
    assert_eq!(
        spec("realserver/plain")?,
        json!({"address": "192.168.0.101", "weight": 1, "state": "Enabled"})
    );
    Ok(())
}

/// Server-side apply merges ports by number and protocol.
fn several_managers_share_a_list_of_ports(cluster: &ControlPlane) -> anyhow::Result<()> {
    let file = std::env::temp_dir().join("port.yaml");
    let apply = |manager: &str, ports: &str, scheduler: &str| -> anyhow::Result<String> {
        let manifest = format!(
            "{{apiVersion: kube-lvs.io/v1alpha1, kind: VirtualService, metadata: {{name: shared}}, spec: {{\
             addresses: [192.168.0.201], ports: [{ports}], scheduler: {scheduler}, \
             realServers: {{selector: {{}}}}}}}}"
        );
        std::fs::write(&file, manifest)?;
        let file = file.to_str().context("a path in UTF-8")?;
        cluster.kubectl(&["apply", "--server-side", "--field-manager", manager, "-f", file])
    };
    apply("one", "{name: http, port: 80}", "rr")?;
    apply("two", "{name: https, port: 443}", "rr")?;
    let ports =
        cluster.kubectl(&["get", "lvsvs", "shared", "-o", "jsonpath={.spec.ports[*].port}"])?;
    assert_eq!(ports, "80 443");
    let refused = apply("two", "{name: https, port: 443}", "wlc").map(drop);
    let refused = refused.expect_err("the first manager has the scheduler").to_string();
    assert!(refused.contains(".spec.scheduler") && refused.contains("\"one\""), "{refused}");
    Ok(())
}

fn kubectl_get_lvs_reads_like_ipvsadm(cluster: &ControlPlane) -> anyhow::Result<()> {
    let time = "2026-01-02T03:04:05Z";
    let condition = |name: &str| json!({"type": name, "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": time});
    let status = |object: &str, status: Value| {
        let patch = json!({"status": status}).to_string();
        cluster.kubectl(&["patch", object, "--subresource=status", "--type=merge", "-p", &patch])
    };
    status(
        "virtualservice/plain",
        json!({
            "conditions": [condition("Accepted"), condition("Available")],
            "display": {"addresses": "192.168.0.200", "ports": "TCP/80", "active": "node-a", "realServers": "1/2"},
        }),
    )?;
    status(
        "realserver/plain",
        json!({"display": {"addresses": "192.168.0.101", "services": "plain"}}),
    )?;
    status(
        "directorgroup/default",
        json!({"display": "node-a", "conditions": [condition("Ready")]}),
    )?;
    cluster.apply(
        "{apiVersion: kube-lvs.io/v1alpha1, kind: LVSNode, metadata: {name: node-a}, spec: {}}",
    )?;
    cluster.apply(
        "{apiVersion: kube-lvs.io/v1alpha1, kind: VirtualService, metadata: {name: cache}, spec: {\
         ports: [{port: 80}], firewallMark: {destinations: [0.0.0.0/0]}, realServers: {selector: {}}}}",
    )?;
    status("virtualservice/cache", json!({"firewallMark": 80}))?;
    status(
        "lvsnode/node-a",
        json!({
            "display": "Director", "kernel": {"release": "6.12.1"}, "failureCount": 0,
            "table": {"services": 3, "destinations": 30, "vips": 2},
        }),
    )?;
    wait_for("kubectl shows everything", Duration::from_secs(10), || {
        let shown = cluster.kubectl(&["get", "lvs"]).map_err(|e| e.to_string())?;
        let rows: Vec<_> =
            shown.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()).collect();
        let row = |words: &str| {
            let words: Vec<_> = words.split_whitespace().collect();
            rows.iter().any(|row| row.starts_with(&words))
        };
        let wanted = [
            "NAME ADDRESS PORTS SCHEDULER FORWARDING ACTIVE REALSERVERS AVAILABLE SERVED AGE",
            "virtualservice.kube-lvs.io/plain 192.168.0.200 TCP/80 wlc DR node-a 1/2 True",
            // Nothing has resolved it, and still its line says what it is.
            "virtualservice.kube-lvs.io/shared 192.168.0.201 rr DR",
            "virtualservice.kube-lvs.io/cache 0.0.0.0/0 wlc DR",
            "NAME ADDRESS WEIGHT FORWARDING STATE SERVICES AGE",
            "realserver.kube-lvs.io/plain 192.168.0.101 1 Enabled plain",
            "NAME DIRECTORS READY AGE",
            "directorgroup.kube-lvs.io/default node-a True",
            "NAME ROLES SERVICES DESTINATIONS VIPS FAILURES AGE",
            "lvsnode.kube-lvs.io/node-a Director 3 30 2 0",
        ];
        let missing: Vec<_> = wanted.iter().filter(|words| !row(words)).collect();
        if missing.is_empty() && !shown.contains("slice") {
            Ok(())
        } else {
            Err(format!("{missing:?} are not in:\n{shown}"))
        }
    });
    let wide = cluster.kubectl(&["get", "lvsvs", "cache", "-o", "wide"])?;
    let words: Vec<_> = wide.split_whitespace().collect();
    assert!(words.contains(&"MARK") && words.contains(&"80"), "{wide}");
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
