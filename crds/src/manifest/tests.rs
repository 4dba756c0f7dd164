//! What becomes of manifest files, good and bad.

mod hostile;
mod properties;

use super::*;

const SERVICE: &str = "\
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata:
  name: web
spec:
  addresses: [192.168.0.10]
  ports:
  - port: 80
  realServers:
    selector:
      matchLabels: {app: web}
";

const SERVER: &str = "\
apiVersion: kube-lvs.io/v1alpha1
kind: RealServer
metadata:
  name: web-1
  namespace: shop
spec:
  address: 192.168.0.101
";

fn one(text: &str) -> Result<Object, ManifestError> {
    let mut results = parse(text);
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0)
}

fn error(text: &str) -> String {
    one(text).expect_err(text).to_string()
}

fn name(object: &Object) -> &str {
    let metadata = match object {
        Object::VirtualService(o) => &o.metadata,
        Object::RealServer(o) => &o.metadata,
        Object::DirectorGroup(o) => &o.metadata,
    };
    metadata.name.as_deref().unwrap_or_default()
}

#[test]
fn a_manifest_becomes_an_object_with_every_default() {
    let Ok(Object::VirtualService(service)) = one(SERVICE) else { panic!() };
    assert_eq!(service.metadata.name.as_deref(), Some("web"));
    assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(service.spec.scheduler, crate::Scheduler::Wlc);
    assert_eq!(service.spec.forwarding, crate::Forwarding::DR);
    assert_eq!(service.spec.director_group, "default");
}

#[test]
fn a_namespace_is_kept_and_a_group_has_none() {
    let Ok(Object::RealServer(server)) = one(SERVER) else { panic!() };
    assert_eq!(server.metadata.namespace.as_deref(), Some("shop"));
    let group = "apiVersion: kube-lvs.io/v1alpha1\nkind: DirectorGroup\nmetadata: {name: default, namespace: shop}\nspec: {}\n";
    let Ok(Object::DirectorGroup(group)) = one(group) else { panic!() };
    assert_eq!(group.metadata.namespace, None);
}

#[test]
fn documents_come_in_order_and_a_bad_one_costs_the_others_nothing() {
    let text = format!("# two servers\n---\n{SERVER}---\nkind: [\n--- # a comment\n{SERVICE}---\n");
    let results = parse(&text);
    assert_eq!(results.len(), 3, "{results:?}");
    assert_eq!(name(results[0].as_ref().unwrap()), "web-1");
    let bad = results[1].as_ref().unwrap_err();
    assert!(!bad.to_string().contains("at line"), "{bad}");
    assert!(matches!(bad.problem, Problem::Yaml(_)), "{bad}");
    assert!(bad.line.is_some_and(|line| (10..=12).contains(&line)), "{bad}");
    assert_eq!(name(results[2].as_ref().unwrap()), "web");
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = format!("{SERVER}---\n{SERVICE}")
        .replace("192.168.0.10]", "192.168.0.10/24]")
        .replace("- port: 80", "- port: 80\n    portt: 81");
    let results = parse(&text);
    assert!(results[0].is_ok());
    let told = results[1].as_ref().unwrap_err().to_string();
    assert_eq!(told, "VirtualService web: line 17: spec.ports[0].portt: unknown field",);
    let text = text.replace("    portt: 81\n", "  scheduler: best\n  forwarding: NAT\n");
    let told = parse(&text)[1].as_ref().unwrap_err().to_string();
    assert!(told.contains("line 17: spec.scheduler: Unsupported value: \"best\""), "{told}");
    let text = text.replace("best", "wrr").replace("forwarding: NAT", "schedulerFlags: [shPort]");
    let told = parse(&text)[1].as_ref().unwrap_err().to_string();
    assert!(told.contains("line 14: spec.addresses[0]: not an IP address"), "{told}");
    assert!(told.contains("line 18: spec.schedulerFlags: shFallback and shPort are"), "{told}");
}

#[test]
fn a_missing_field_is_told_at_the_object_that_lacks_it() {
    let told = error(&SERVICE.replace("  - port: 80", "  - name: http"));
    assert!(told.contains("line 8: spec.ports[0].port: Required value"), "{told}");
    let told = error(
        "apiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata:\n  labels: {}\nspec:\n  address: 10.0.0.1\n",
    );
    assert!(told.contains("line 3: metadata.name: name or generateName is required"), "{told}");
}

#[test]
fn a_tab_is_named() {
    let told = error(&SERVICE.replace("  name: web", "\tname: web"));
    assert_eq!(told, "line 4: a tab in the indentation; YAML indents with spaces only");
}

#[test]
fn a_half_written_document_is_an_error() {
    for end in [
        "spec:",
        "spec:\n  addresses: [192.168",
        "kind: Virt",
        "apiVersion: kube-lvs.io/v1alpha1\n",
    ] {
        let at = SERVICE.find(end).unwrap() + end.len();
        assert!(one(&SERVICE[..at]).is_err(), "{}", &SERVICE[..at]);
    }
    let told =
        error("apiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata: {name: a}\nspec:\n");
    assert_eq!(told, "RealServer a: line 4: spec: Required value");
}

#[test]
fn a_file_without_a_document_is_an_error() {
    for text in ["", "\n \n", "# later\n", "---\n---\n", "%YAML 1.2\n---\n...\n", "\u{feff}"] {
        assert_eq!(error(text), "no manifest in it: empty, or nothing but comments", "{text:?}");
    }
}

#[test]
fn an_unknown_kind_or_version_is_named() {
    let told = error(&SERVICE.replace("VirtualService", "Service"));
    assert!(told.contains("apiVersion kube-lvs.io/v1alpha1, kind Service: not known"), "{told}");
    let told = error(&SERVICE.replace("v1alpha1", "v1"));
    assert!(told.contains("apiVersion kube-lvs.io/v1, kind VirtualService: not known"), "{told}");
    let told = error(&SERVICE.replace("VirtualService", "VirtualServiceSlice"));
    assert!(told.contains("one of VirtualService, RealServer, DirectorGroup"), "{told}");
    let told = error("name: web\n");
    assert!(told.contains("apiVersion and kind are needed"), "{told}");
    for text in ["- a\n", "web\n", "42\n", "null\n", "~\n"] {
        assert!(error(text).contains("not an object"), "{text}");
    }
}

#[test]
fn a_key_twice_is_an_error() {
    let told = error(&SERVICE.replace("  name: web\n", "  name: web\n  name: shop\n"));
    assert!(told.contains("duplicate") && told.contains("name"), "{told}");
}

#[test]
fn json_carriage_returns_and_a_byte_order_mark_are_read() {
    let json = serde_json::to_string_pretty(
        &one(SERVICE)
            .map(|o| match o {
                Object::VirtualService(o) => VirtualService::clone(&o),
                _ => panic!(),
            })
            .unwrap(),
    )
    .unwrap();
    assert_eq!(one(&json).unwrap(), one(SERVICE).unwrap());
    assert_eq!(one(&json.replace("  ", "\t")).unwrap(), one(SERVICE).unwrap());
    assert_eq!(one(&SERVICE.replace('\n', "\r\n")).unwrap(), one(SERVICE).unwrap());
    assert_eq!(one(&format!("\u{feff}{SERVICE}")).unwrap(), one(SERVICE).unwrap());
    assert_eq!(one(&format!("--- {json}\n...\n")).unwrap(), one(SERVICE).unwrap());
}

#[test]
fn a_line_of_dashes_in_a_block_scalar_does_not_end_the_document() {
    let text = SERVICE.replace(
        "  name: web\n",
        "  name: web\n  annotations:\n    note: |\n      a\n      ---\n      b\n    dashes: ---a\n",
    );
    let Ok(Object::VirtualService(service)) = one(&text) else { panic!("{}", error(&text)) };
    let annotations = service.metadata.annotations.clone().unwrap();
    assert_eq!(annotations["note"], "a\n---\nb\n");
    assert_eq!(annotations["dashes"], "---a");
}

#[test]
fn what_the_api_server_wrote_can_be_read_back() {
    let text = format!(
        "{SERVICE}status:\n  anything: [1, 2]\n").replace(
        "  name: web\n",
        "  name: web\n  creationTimestamp: \"2026-01-02T03:04:05Z\"\n  generation: 3\n  resourceVersion: \"12\"\n  \
         uid: 00000000-0000-0000-0000-000000000001\n  managedFields:\n  - manager: kubectl\n    fieldsV1: {\"f:spec\": {}}\n",
    );
    let Ok(Object::VirtualService(service)) = one(&text) else { panic!("{}", error(&text)) };
    assert_eq!(service.metadata.generation, Some(3));
    assert_eq!(service.status, None);
}

#[test]
fn a_file_that_is_read_again_gives_what_it_would_give_anew() {
    let mut documents = Documents::default();
    let other = SERVER.replace("web-1", "web-2");
    let files = [
        format!("{SERVICE}---\n{SERVER}---\n{other}"),
        // Edited, broken, moved, twice, mended.
        format!("{SERVICE}---\n{}---\n{other}", SERVER.replace("101", "102")),
        format!("{SERVICE}---\nspec: [\n---\n{other}"),
        format!("# a line more\n---\n{other}---\n{SERVICE}---\n{SERVER}"),
        format!("{SERVER}---\n{SERVER}"),
        String::new(),
        format!("{SERVICE}---\n{SERVER}---\n{other}"),
    ];
    let text = |results: Vec<Result<Object, ManifestError>>| {
        let told = |result: Result<Object, ManifestError>| result.map_err(|e| e.to_string());
        results.into_iter().map(told).collect::<Vec<_>>()
    };
    for file in &files {
        assert_eq!(text(documents.parse(file)), text(parse(file)), "{file}");
    }
}
