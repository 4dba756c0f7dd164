//! The chart: what helm makes of it, what the API server says to that, and what wrong values are answered.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use lvs_tests::bed::{self, Guest, in_guest};
use lvs_tests::chart::{self, RELEASE};
use lvs_tests::control_plane::{ControlPlane, NAMESPACE};
use lvs_tests::wait_for;
use serde_json::Value;

/// Values that go together; each through `helm lint`, `helm template` and a dry run.
const COMBINATIONS: &[(&str, &str)] = &[
    ("defaults", ""),
    (
        "monitoring",
        "metrics: {serviceMonitor: {enabled: true, labels: {release: prometheus}}, prometheusRule: {enabled: true}}",
    ),
    (
        "network-policy",
        "networkPolicy: {enabled: true, apiServerCIDRs: [10.0.0.1/32, \"2001:db8::/64\"], \
         metricsFrom: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}",
    ),
    ("open-network-policy", "networkPolicy: {enabled: true}"),
    (
        "small",
        "operator: {replicas: 1, antiAffinity: None, podDisruptionBudget: false, priorityClassName: \"\"}\n\
         agent: {priorityClassName: \"\", tolerations: [], updateStrategy: {type: OnDelete, rollingUpdate: null}}\n\
         defaultDirectorGroup: {create: false}\nuninstall: {cleanUp: false}\nrbac: {aggregateToUserRoles: false}",
    ),
    (
        "strict",
        "operator: {replicas: 3, antiAffinity: Required, resources: {limits: {cpu: 1, memory: 128Mi}}}\n\
         agent: {resources: {limits: {memory: 256Mi}}, seLinuxOptions: {type: spc_t}}\ncrds: {keep: false}",
    ),
    ("priority-quota", "priorityQuota: {create: true, pods: 20}"),
    (
        "images",
        "operator: {image: {repository: registry.example:5000/lvs/operator, tag: v1, pullPolicy: Always}}\n\
         agent: {image: {repository: registry.example/agent, \
         digest: \"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}\n\
         imagePullSecrets: [{name: registry}]",
    ),
    (
        "ipv6",
        "operator: {listenAddress: \"[::]\"}\nagent: {listen: {address: \"[::]\", port: 19809}}\n\
         apiServer: {host: \"2001:db8::1\", port: 443}",
    ),
    (
        "placement",
        "operator: {affinity: {nodeAffinity: {}}, tolerations: [{operator: Exists}], podLabels: {a: b}, \
         podAnnotations: {c: d}, nodeSelector: {}}\n\
         agent: {affinity: {nodeAffinity: {}}, nodeSelector: {role: edge}, podLabels: {a: b}, podAnnotations: {c: d}}",
    ),
    (
        "group",
        "defaultDirectorGroup: {spec: {nodeSelector: {matchExpressions: [{key: a, operator: Exists}]}, \
         networks: [{cidr: 10.0.0.0/24, interface: eth0}]}}",
    ),
];

/// A wrong value, and what helm's answer has to name.
const WRONG: &[(&str, &[&str])] = &[
    ("operator.replicas=0", &["/operator/replicas", "minimum"]),
    ("operator.replicas=two", &["/operator/replicas", "integer"]),
    ("operator.replica=2", &["/operator", "replica"]),
    ("oprator.replicas=2", &["oprator"]),
    ("agent.resources.limits.cpu=1", &["/agent/resources/limits", "cpu"]),
    ("agent.listen.port=70000", &["/agent/listen/port"]),
    ("agent.auditInterval=2h", &["/agent/auditInterval"]),
    ("agent.stateDir=relative", &["/agent/stateDir"]),
    ("agent.image.digest=sha256:1", &["/agent/image/digest"]),
    ("agent.image.pullPolicy=Sometimes", &["/agent/image/pullPolicy", "Always"]),
    ("agent.updateStrategy.rollingUpdate.maxSurge=1", &["/agent/updateStrategy", "maxSurge"]),
    ("operator.antiAffinity=Maybe", &["/operator/antiAffinity", "Preferred"]),
    (
        "defaultDirectorGroup.spec.natGateways={10.80.0.1/24}",
        &["/defaultDirectorGroup/spec/natGateways/0", "object"],
    ),
    ("defaultDirectorGroup.spec.failover.profile=Slow", &["/spec/failover/profile", "Fast"]),
    ("defaultDirectorGroup.spec.natGateway=x", &["/defaultDirectorGroup/spec", "natGateway"]),
    ("crds.keep=maybe", &["/crds/keep", "boolean"]),
    ("networkPolicy.apiServerCIDRs={10.0.0.1}", &["/networkPolicy/apiServerCIDRs/0"]),
    ("uninstall.timeoutSeconds=0", &["/uninstall/timeoutSeconds"]),
    ("defaultDirectorGroup.spec=edge", &["/defaultDirectorGroup/spec", "object"]),
];

fn files() -> PathBuf {
    bed::target().join("chart")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_value_is_described_and_the_reference_is_current() {
    let schema = "charts/kube-lvs/values.schema.json";
    let current = chart::with_group_spec(&read(schema)).expect("a schema");
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(schema);
        fs::write(path, &current).expect(schema);
    }
    assert!(read(schema) == current, "{schema} is stale; run: make values");
    let schema: Value = serde_json::from_str(&current).expect("JSON");
    let defaults: Value =
        serde_saphyr::from_str(&read("charts/kube-lvs/values.yaml")).expect("YAML");
    let undescribed = chart::undescribed(&schema, &defaults);
    assert!(undescribed.is_empty(), "{undescribed:#?}");
    let page = chart::reference(&schema, &defaults);
    if update {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/values.md");
        fs::write(path, &page).expect("docs/values.md");
    }
    assert!(read("docs/values.md") == page, "docs/values.md is stale; run: make values");
}

#[test]
fn wrong_values_are_refused_by_name() -> anyhow::Result<()> {
    let helm = chart::helm()?;
    for (value, named) in WRONG {
        let said = match chart::template(&helm, &["--set", value]) {
            Ok(_) => panic!("{value} is not refused"),
            Err(error) => error.to_string(),
        };
        // The command that failed names the value too.
        let said = said.split_once(": ").map_or(said.as_str(), |(_, said)| said);
        assert!(named.iter().all(|part| said.contains(part)), "{value}: {named:?} in {said}");
    }
    Ok(())
}

#[test]
fn what_pods_may_do_is_what_was_promised() -> anyhow::Result<()> {
    let objects = chart::objects(&chart::template(&chart::helm()?, &[])?)?;
    let of = |kind: &str, name: &str| {
        let is = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
        objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let agent = &of("DaemonSet", "kube-lvs-agent")["spec"]["template"]["spec"];
    let container = &agent["containers"][0];
    let security = serde_json::json!({
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"] },
    });
    assert_eq!(container["securityContext"], security);
    assert_eq!(agent["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(agent["hostNetwork"], true);
    assert!(container["resources"]["limits"].is_null(), "a limit");
    let paths: Vec<_> = agent["volumes"].as_array().into_iter().flatten().collect();
    let paths: Vec<_> = paths.iter().map(|it| it["hostPath"]["path"].as_str()).collect();
    assert_eq!(paths, [Some("/proc/sys/net"), Some("/var/lib/kube-lvs")]);
    for (kind, name) in [("Deployment", "kube-lvs-operator"), ("Job", "kube-lvs-uninstall")] {
        let pod = &of(kind, name)["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["hostNetwork"].is_null(), "{name}");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["capabilities"], serde_json::json!({ "drop": ["ALL"] }), "{name}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
    }
    // No two rules of a role grant the same, and none grants everything.
    for role in objects.iter().filter(|it| it["kind"] == "ClusterRole" || it["kind"] == "Role") {
        assert!(!role["rules"].to_string().contains('*'), "{role}");
    }
    let labels = |name: &str| of("ClusterRole", name)["metadata"]["labels"].clone();
    let to = |role: &str| format!("rbac.authorization.k8s.io/aggregate-to-{role}");
    for role in ["view", "edit", "admin"] {
        assert_eq!(labels("kube-lvs-view")[to(role)], "true", "{role}");
    }
    assert!(labels("kube-lvs-edit")[to("view")].is_null());
    assert_eq!(labels("kube-lvs-edit")[to("edit")], "true");
    Ok(())
}

#[test]
fn the_images_are_those_that_are_packed() {
    let values: Value = serde_saphyr::from_str(&read("charts/kube-lvs/values.yaml")).expect("YAML");
    let chart: Value = serde_saphyr::from_str(&read("charts/kube-lvs/Chart.yaml")).expect("YAML");
    let (script, workspace) = (read("images/build.sh"), read("Cargo.toml"));
    let after = |text: &str, mark: &str| {
        let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark}")).1;
        rest.split(['}', '"']).next().unwrap_or_default().to_owned()
    };
    let registry = after(&script, "registry=${IMAGE_REGISTRY:-");
    for component in ["agent", "operator"] {
        let repository = &values[component]["image"]["repository"];
        assert_eq!(*repository, format!("{registry}/lvs-{component}"), "images/build.sh");
    }
    assert_eq!(chart["appVersion"], after(&workspace, "\nversion = \""), "Cargo.toml");
}

#[test]
fn alerts_speak_of_metrics_that_exist() {
    let (alerts, page) = (read("charts/kube-lvs/files/alerts.yaml"), read("docs/operations.md"));
    let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics: Vec<_> = words.filter(|word| word.starts_with("lvs_")).collect();
    assert!(metrics.len() > 5, "{metrics:?}");
    for metric in metrics {
        assert!(page.contains(&format!("`{metric}`")), "{metric} is not in docs/operations.md");
    }
}

#[test]
fn the_api_server_takes_every_combination_and_helm_a_release() {
    if !bed::inside() {
        render().unwrap_or_else(|e| panic!("{e:#}"));
    }
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let plane = ControlPlane::start_complete();
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            plane.apply(&stub(kind))?;
            // A new kind is served some time after its CRD is there.
            let object = format!(
                "{{apiVersion: monitoring.coreos.com/v1, kind: {kind}, metadata: {{name: any}}}}"
            );
            wait_for(&format!("{kind} is served"), Duration::from_secs(30), || {
                plane.dry_run(&object)
            });
        }
        every_combination_is_taken(&plane)?;
        a_release_is_installed_refused_twice_and_removed(&plane)
    });
}

fn every_combination_is_taken(plane: &ControlPlane) -> anyhow::Result<()> {
    let mut seen = HashSet::new();
    for (name, _) in COMBINATIONS {
        let rendered = fs::read_to_string(files().join(format!("{name}.yaml")))?;
        for part in rendered.split("\n---\n") {
            // What is the same in all is most of the text.
            if !seen.insert(part.to_owned()) {
                continue;
            }
            // A pod is refused whose account is not there, and a dry run makes none.
            let taken = match part.contains("\nkind: ServiceAccount\n") {
                true => plane.apply(part),
                false => plane.dry_run(part),
            };
            taken.with_context(|| format!("values {name}:\n{part}"))?;
        }
    }
    Ok(())
}

/// On the host, where helm starts quicker.
fn render() -> anyhow::Result<()> {
    let helm = chart::helm()?;
    fs::create_dir_all(files())?;
    let folder = chart::folder();
    for (name, values) in COMBINATIONS {
        let file = files().join(format!("{name}.values"));
        fs::write(&file, values)?;
        let file = file.to_str().context("UTF-8")?;
        let said =
            chart::run(&helm, &["lint", "--strict", folder.to_str().context("UTF-8")?, "-f", file])
                .with_context(|| format!("values {name}"))?;
        ensure!(said.contains("0 chart(s) failed"), "{name}: {said}");
        let rendered = chart::template(&helm, &["-f", file])?;
        fs::write(files().join(format!("{name}.yaml")), rendered)?;
    }
    Ok(())
}

/// A CRD as the Prometheus operator brings it, as far as we are concerned.
fn stub(kind: &str) -> String {
    let plural = format!("{}s", kind.to_lowercase());
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.monitoring.coreos.com}}\n\
         spec:\n  group: monitoring.coreos.com\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}}}\n  \
         versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}}}}]\n"
    )
}

fn a_release_is_installed_refused_twice_and_removed(plane: &ControlPlane) -> anyhow::Result<()> {
    let helm = chart::helm()?;
    let folder = chart::folder();
    let folder = folder.to_str().context("UTF-8")?;
    let kubeconfig = plane.kubeconfig().to_str().context("UTF-8")?;
    let run = |words: &[&str]| chart::run(&helm, &[&["--kubeconfig", kubeconfig], words].concat());
    // As from an older chart: its CRDs are there, are nobody's release's, and lack a field.
    let crd: Value = serde_saphyr::from_str(&read("charts/kube-lvs/files/crds/lvsnodes.yaml"))?;
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let mut older = crd.clone();
    older.pointer_mut(field).and_then(|it| it.as_object_mut()?.remove("table")).context(field)?;
    plane.apply(&older.to_string())?;
    let take = ["--take-ownership", "--force-conflicts"];
    let said = run(&[&["install", RELEASE, folder, "-n", NAMESPACE][..], &take].concat())?;
    let current: CustomResourceDefinition = plane.get_cluster("lvsnodes.kube-lvs.io")?;
    let current = serde_json::to_value(current)?;
    assert_eq!(current.pointer(field), crd.pointer(field), "the CRD is not the chart's");
    assert!(said.contains("kube-lvs.io/director=true") && said.contains("helm test"), "{said}");
    let secret: Secret = plane.get(NAMESPACE, &format!("sh.helm.release.v1.{RELEASE}.v1"))?;
    let size = secret.data.unwrap_or_default().values().map(|it| it.0.len()).sum::<usize>();
    println!("the release's Secret: {size} bytes");
    assert!(size < 512 * 1024, "{size} bytes, and 1 MB is the limit");
    let _: ConfigMap = plane.get(NAMESPACE, "kube-lvs-defaults")?;

    let said = run(&["install", "second", folder, "-n", "default"]).expect_err("refused");
    let said = said.to_string();
    let reason =
        "installed in this cluster already, as release \"kube-lvs\" in namespace \"kube-lvs\"";
    assert!(said.contains(reason), "{said}");

    let ours = || -> anyhow::Result<usize> {
        let crds: Vec<CustomResourceDefinition> = plane.list()?;
        Ok(crds.iter().filter(|crd| crd.name_any().ends_with(".kube-lvs.io")).count())
    };
    let uninstall = ["uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks"];
    run(&uninstall)?;
    assert_eq!(ours()?, 5, "users' objects live in them");
    plane.get::<ConfigMap>(NAMESPACE, "kube-lvs-defaults").expect_err("helm's own go");

    let without_trace = ["--set", "crds.keep=false"];
    run(&[&["install", RELEASE, folder, "-n", NAMESPACE][..], &take, &without_trace].concat())?;
    run(&uninstall)?;
    wait_for("the CRDs are gone, as crds.keep=false asks for", Duration::from_secs(30), || {
        let left = ours()?;
        ensure!(left == 0, "{left} CRDs");
        anyhow::Ok(())
    });
    Ok(())
}

/// What makes an API server take critical pods only where a quota admits them, as GKE has it.
const LIMITED: &str = r#"apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - resource: pods
      matchScopes:
      - {scopeName: PriorityClass, operator: In, values: [system-node-critical, system-cluster-critical]}
"#;

#[test]
fn critical_pods_are_admitted_by_the_charts_quota_where_the_api_server_asks_for_one() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let file = "/tmp/admission.yaml";
        fs::write(file, LIMITED)?;
        let argument = format!("--admission-control-config-file={file}");
        let plane = ControlPlane::start_complete_with(&[&argument]);
        let pod = |class: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {class}, namespace: {NAMESPACE}}}\nspec:\n  \
                 serviceAccountName: kube-lvs-agent\n  priorityClassName: {class}\n  \
                 containers: [{{name: a, image: localhost/a}}]\n"
            )
        };
        for class in ["system-node-critical", "system-cluster-critical"] {
            let refused = plane.apply(&pod(class)).expect_err("without a quota");
            let refused = format!("{refused:#}");
            println!("{refused}");
            assert!(refused.contains("insufficient quota to match these scopes"), "{refused}");
        }
        let only = ["--set", "priorityQuota.create=true", "-s", "templates/quota.yaml"];
        plane.apply(&chart::template(&chart::helm()?, &only)?)?;
        // What the controller-manager does.
        plane.kubectl(&[
            "patch",
            "resourcequota",
            "kube-lvs",
            "-n",
            NAMESPACE,
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status": {"hard": {"pods": "10000"}, "used": {"pods": "0"}}}"#,
        ])?;
        for class in ["system-node-critical", "system-cluster-critical"] {
            wait_for("it is admitted", Duration::from_secs(10), || plane.apply(&pod(class)));
        }
        Ok(())
    });
}
