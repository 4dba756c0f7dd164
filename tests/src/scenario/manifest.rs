//! Manifests from what is special about them: `spec` is the inside of a YAML flow mapping.

/// A VirtualService in the namespace `default` whose real servers are labelled `app: NAME`, at port 80 unless `spec`
/// has `ports`.
pub fn virtual_service(name: &str, spec: &str) -> String {
    let ports = if spec.contains("ports:") { "" } else { "ports: [{port: 80}], " };
    manifest(
        "VirtualService",
        &format!("name: {name}"),
        &format!("{ports}realServers: {{selector: {{matchLabels: {{app: {name}}}}}}}, {spec}"),
    )
}

/// A RealServer in the namespace `default`, labelled `app: APP`.
pub fn real_server(name: &str, app: &str, spec: &str) -> String {
    manifest("RealServer", &format!("name: {name}, labels: {{app: {app}}}"), spec)
}

/// A DirectorGroup of the nodes that are labelled `kube-lvs.io/director: "true"`, unless `spec` says otherwise.
pub fn director_group(name: &str, spec: &str) -> String {
    let director = r#"nodeSelector: {matchLabels: {kube-lvs.io/director: "true"}}, "#;
    let selector = if spec.contains("nodeSelector:") { "" } else { director };
    manifest("DirectorGroup", &format!("name: {name}"), &format!("{selector}{spec}"))
}

pub(super) fn manifest(kind: &str, metadata: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: kube-lvs.io/v1alpha1, kind: {kind}, metadata: {{{metadata}}}, spec: {{{spec}}}}}\n"
    )
}
