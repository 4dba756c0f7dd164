//! The generated CRDs are ones that an API server takes without a warning and an admin reads with ease.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may.

use serde_json::Value;

fn crd(kind: &str) -> Value {
    let crds = lvs_crds::all_crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).expect(kind);
    serde_json::to_value(crd).expect("serializable")
}

fn spec(kind: &str) -> Value {
    crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Every schema node below, with its path.
fn nodes(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        nodes(child, &format!("{path}.{name}"), visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            nodes(&schema[key], &format!("{path}{suffix}"), visit);
        }
    }
}

const KINDS: [&str; 5] =
    ["VirtualService", "RealServer", "DirectorGroup", "VirtualServiceSlice", "LVSNode"];

#[test]
fn a_schema_is_structural_and_has_no_format_that_the_api_server_does_not_know() {
    for kind in KINDS {
        let root = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        nodes(&root, kind, &mut |path, node| {
            assert!(node["type"].is_string(), "{path} has no type");
            for key in ["$ref", "anyOf", "oneOf", "allOf", "nullable", "definitions"] {
                assert!(node[key].is_null(), "{path} has {key}");
            }
            if let Some(format) = node["format"].as_str() {
                assert!(["int32", "int64", "date-time"].contains(&format), "{path}: {format}");
            }
        });
    }
}

#[test]
fn every_field_of_a_users_spec_is_explained_and_bounded() {
    for kind in ["VirtualService", "RealServer", "DirectorGroup"] {
        nodes(&spec(kind), kind, &mut |path, node| {
            if !path.ends_with("[]") && !path.ends_with("{}") {
                let text = node["description"].as_str().unwrap_or_default();
                assert!(text.len() > 20, "{path} is not explained");
                assert!(!text.starts_with('\n') && !text.contains("\n\n\n"), "{path}: {text:?}");
            }
            if node["type"] == "array" {
                assert!(node["maxItems"].is_number(), "{path} has no maxItems");
            }
            if node["type"] == "integer" {
                assert!(node["minimum"].is_number(), "{path} has no minimum");
            }
            if node["type"] == "string" {
                let bounded = node["maxLength"].is_number() || node["enum"].is_array();
                assert!(bounded, "{path} has no maxLength");
            }
        });
    }
}

#[test]
fn each_scheduler_is_explained() {
    let scheduler = spec("VirtualService")["properties"]["scheduler"].clone();
    let text = scheduler["description"].as_str().expect("a description");
    for name in lvs_crds::Scheduler::ALL {
        assert!(
            text.contains(&format!("\n- {name}: ")) || text.contains(&format!(" {name}")),
            "{name}"
        );
        assert!(text.lines().any(|line| line.starts_with(&format!("- {name}: "))), "{name}");
    }
}

#[test]
fn stored_objects_show_their_defaults() {
    let service = spec("VirtualService");
    let fields = &service["properties"];
    assert_eq!(fields["scheduler"]["default"], "wlc");
    assert_eq!(fields["forwarding"]["default"], "DR");
    assert_eq!(fields["directorGroup"]["default"], "default");
    assert_eq!(fields["ports"]["items"]["properties"]["protocol"]["default"], "TCP");
    assert_eq!(fields["persistence"]["properties"]["timeoutSeconds"]["default"], 300);
    let server = spec("RealServer");
    assert_eq!(server["properties"]["weight"]["default"], 1);
    assert_eq!(server["properties"]["state"]["default"], "Enabled");
}

#[test]
fn an_admin_sees_services_and_no_slices() {
    for kind in KINDS {
        let names = crd(kind)["spec"]["names"].clone();
        let shown = names["categories"] == serde_json::json!(["lvs"]);
        assert_eq!(shown, kind != "VirtualServiceSlice", "{kind}");
        // Istio's and Kubernetes' own.
        for taken in ["vs", "rs"] {
            assert!(!names["shortNames"].as_array().unwrap().contains(&taken.into()), "{kind}");
        }
    }
}

fn columns(kind: &str) -> String {
    let columns = crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"].clone();
    let name = |c: &Value| match &c["priority"] {
        Value::Null => c["name"].as_str().unwrap_or_default().to_owned(),
        _ => format!("({})", c["name"].as_str().unwrap_or_default()),
    };
    columns.as_array().into_iter().flatten().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_read_like_ipvsadm() {
    assert_eq!(
        columns("VirtualService"),
        "ADDRESS PORTS SCHEDULER FORWARDING ACTIVE REALSERVERS AVAILABLE SERVED (ADDRESSES) (MARK) (GROUP) AGE"
    );
    assert_eq!(columns("RealServer"), "ADDRESS WEIGHT FORWARDING STATE SERVICES AGE");
    assert_eq!(columns("DirectorGroup"), "DIRECTORS READY AGE");
    assert_eq!(columns("LVSNode"), "ROLES SERVICES DESTINATIONS VIPS FAILURES (KERNEL) AGE");
}
