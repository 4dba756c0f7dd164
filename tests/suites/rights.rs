//! Least privilege: what the tokens of agents and of the operator can do at the API server, which is what they need and
//! nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::discovery::ApiResource;
use kube::{Client, Config, Resource as _};
use lvs_crds::LVSNode;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::{ControlPlane, NAMESPACE};
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{director_group, real_server, virtual_service};
use lvs_tests::wait_for;
use serde_json::{Value, json};

const AGENT: &str = "kube-lvs-agent";
const OPERATOR: &str = "kube-lvs-operator";

#[test]
fn tokens_can_do_what_they_are_for_and_nothing_else() {
    tokens(Guest::control_plane());
}

pub(crate) fn tokens(guest: Guest) {
    let guest = guest.virtual_time().limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let lan = Link::new("lan");
        let (first, second) = (node(&lan, "first", 1), node(&lan, "second", 2));
        let plane = ControlPlane::start();
        plane.add_node(&first, "10.0.0.1", &[("kube-lvs.io/director", "true")]);
        plane.add_node(&second, "10.0.0.2", &[]);
        plane.apply(&director_group("default", ""))?;
        plane.apply(&virtual_service("web", "addresses: [10.0.0.10]"))?;
        plane.apply(&real_server("rs", "web", "address: 10.0.0.2"))?;
        plane.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: secret, namespace: kube-lvs}\n",
        )?;
        let own = Account::of(&plane, AGENT, Some(&first))?;
        let other = Account::of(&plane, AGENT, Some(&second))?;
        let unbound = Account::of(&plane, AGENT, None)?;

        an_agent_writes_the_report_of_its_node_and_no_other(&plane, &own, &other, &unbound)?;
        let read = "get list watch";
        own.may(
            &[
                ("kube-lvs.io", "directorgroups", read),
                ("kube-lvs.io", "virtualserviceslices", read),
                ("kube-lvs.io", "lvsnodes", "get list watch create patch"),
                ("kube-lvs.io", "lvsnodes/status", "patch"),
            ],
            &[],
        )?;
        every_other_request_of_an_agent_is_refused(&plane, &own)?;

        let operator = Account::of(&plane, OPERATOR, None)?;
        operator.may(
            &[
                ("", "namespaces", read),
                ("", "nodes", read),
                ("events.k8s.io", "events", "create"),
                ("kube-lvs.io", "directorgroups", "get list watch create"),
                ("kube-lvs.io", "directorgroups/status", "update"),
                ("kube-lvs.io", "lvsnodes", "get list watch delete"),
                ("kube-lvs.io", "realservers", read),
                ("kube-lvs.io", "realservers/status", "update"),
                ("kube-lvs.io", "virtualservices", read),
                ("kube-lvs.io", "virtualservices/status", "update"),
                ("kube-lvs.io", "virtualserviceslices", "get list watch create patch delete"),
                ("coordination.k8s.io", "leases", "create"),
            ],
            &[
                ("apiextensions.k8s.io", "customresourcedefinitions", "get"),
                ("coordination.k8s.io", "leases", "get update"),
                ("kube-lvs.io", "directorgroups", "patch"),
            ],
        )?;
        the_operator_reads_no_secret_and_touches_no_node(&plane, &operator)?;
        a_token_ends_with_its_pod(&plane, &own)
    });
}

fn node(lan: &Link, name: &str, number: u8) -> Node {
    Node::new(name).on(lan, "eth0", &format!("10.0.0.{number}/24"))
}

/// Somebody with a token.
struct Account<'a> {
    plane: &'a ControlPlane,
    client: Client,
}

impl<'a> Account<'a> {
    fn of(plane: &'a ControlPlane, account: &str, node: Option<&Node>) -> anyhow::Result<Self> {
        let file = plane.account_kubeconfig(account, node);
        let client = plane.block_on(async {
            let kubeconfig = Kubeconfig::read_from(&file)?;
            let config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            Ok::<_, anyhow::Error>(Client::try_from(config)?)
        })?;
        Ok(Account { plane, client })
    }

    /// Server-side apply of an LVSNode, or of its status.
    fn report(&self, node: &str, status: bool) -> Result<(), String> {
        let api: Api<LVSNode> = Api::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        let mut object = json!({
            "apiVersion": "kube-lvs.io/v1alpha1", "kind": "LVSNode", "metadata": { "name": node },
        });
        let sent = self.plane.block_on(async {
            if status {
                object["status"] = json!({ "agentVersion": "test" });
                api.patch_status(node, &params, &Patch::Apply(&object)).await
            } else {
                object["spec"] = json!({});
                api.patch(node, &params, &Patch::Apply(&object)).await
            }
        });
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// Compares what the server's rules allow in the release's namespace, for all objects and for named ones.
    fn may(&self, all: &[(&str, &str, &str)], named: &[(&str, &str, &str)]) -> anyhow::Result<()> {
        let wanted = |named: bool, list: &[(&str, &str, &str)]| -> BTreeSet<String> {
            let each = list.iter().flat_map(|(group, resource, verbs)| {
                verbs.split(' ').map(move |verb| line(verb, resource, group, named))
            });
            each.collect()
        };
        let api: Api<SelfSubjectRulesReview> = Api::all(self.client.clone());
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec { namespace: Some(NAMESPACE.to_owned()) },
            ..SelfSubjectRulesReview::default()
        };
        let review = self.plane.block_on(api.create(&PostParams::default(), &review))?;
        let status = review.status.context("no answer")?;
        ensure!(!status.incomplete, "the server does not know all rules");
        let mut found = BTreeSet::new();
        for rule in status.resource_rules {
            let named = rule.resource_names.is_some_and(|names| !names.is_empty());
            for group in rule.api_groups.unwrap_or_default() {
                // Everybody may ask what he may.
                if group == "authorization.k8s.io" || group == "authentication.k8s.io" {
                    continue;
                }
                for resource in rule.resources.iter().flatten() {
                    let verbs = rule.verbs.iter();
                    found.extend(verbs.map(|verb| line(verb, resource, &group, named)));
                }
            }
        }
        let wanted: BTreeSet<_> = &wanted(false, all) | &wanted(true, named);
        let (more, less): (Vec<_>, Vec<_>) =
            (found.difference(&wanted).collect(), wanted.difference(&found).collect());
        ensure!(more.is_empty() && less.is_empty(), "too much: {more:?}; too little: {less:?}");
        Ok(())
    }

    /// Tries every verb on an object; the verbs that are not refused as forbidden.
    fn allowed(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Vec<&'static str> {
        let client = self.client.clone();
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        // Valid, where admission is what refuses it: that comes after validation.
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": { "name": name },
            "spec": {},
        }))
        .expect("an object");
        let merge: Value = json!({ "metadata": { "labels": { "a": "b" } } });
        let path = DynamicObject::url_path(resource, namespace);
        let watch = WatchParams::default().timeout(1);
        let watch = Request::new(path).watch(&watch, "0").expect("a request");
        self.plane.block_on(async {
            let (delete, all) = (DeleteParams::default(), ListParams::default());
            let (post, patch) = (PostParams::default(), PatchParams::default());
            let results = [
                ("get", api.get(name).await.err()),
                ("list", api.list(&all).await.err()),
                ("watch", self.client.request_text(watch).await.err()),
                ("create", api.create(&post, &object).await.err()),
                ("update", api.replace(name, &post, &object).await.err()),
                ("patch", api.patch(name, &patch, &Patch::Merge(&merge)).await.err()),
                ("delete", api.delete(name, &delete).await.err()),
                ("deletecollection", api.delete_collection(&delete, &all).await.err()),
            ];
            let forbidden = |error: &Option<kube::Error>| matches!(error, Some(kube::Error::Api(it)) if it.code == 403);
            results.iter().filter(|(_, error)| !forbidden(error)).map(|(verb, _)| *verb).collect()
        })
    }
}

fn line(verb: &str, resource: &str, group: &str, named: bool) -> String {
    format!("{verb} {resource}.{group}{}", if named { " by name" } else { "" })
}

fn an_agent_writes_the_report_of_its_node_and_no_other(
    plane: &ControlPlane,
    own: &Account<'_>,
    other: &Account<'_>,
    unbound: &Account<'_>,
) -> anyhow::Result<()> {
    // A policy is enforced some time after it is there.
    wait_for("the policy is in force", Duration::from_secs(30), || {
        unbound.report("probe", false).err().ok_or("an unbound token writes")
    });
    for status in [false, true] {
        own.report("first", status).map_err(anyhow::Error::msg)?;
        other.report("second", status).map_err(anyhow::Error::msg)?;
        for (who, account, node, reason) in [
            ("another node's agent", other, "first", "own node only: second, not first"),
            ("this node's agent", own, "second", "own node only: first, not second"),
            ("an unbound token", unbound, "first", "must be bound to a pod on a node"),
        ] {
            let said = account.report(node, status).expect_err(who);
            assert!(said.contains(reason), "{who}, status {status}: {said}");
        }
    }
    let said = own.report("third", false).expect_err("a node that is none of his");
    assert!(said.contains("own node only"), "{said}");
    let kept: LVSNode = plane.get_cluster("first")?;
    assert_eq!(kept.status.unwrap_or_default().agent_version, "test");
    Ok(())
}

fn every_other_request_of_an_agent_is_refused(
    plane: &ControlPlane,
    own: &Account<'_>,
) -> anyhow::Result<()> {
    let read = vec!["get", "list", "watch"];
    // "first" is its own: created already (409), patched.
    let report = vec!["get", "list", "watch", "create", "patch"];
    // What, where, and which verbs pass.
    type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, Vec<&'a str>);
    let cases: &[Case<'_>] = &[
        ("kube-lvs.io/v1alpha1", "LVSNode", None, "first", report),
        ("kube-lvs.io/v1alpha1", "LVSNode", None, "second", read.clone()),
        ("kube-lvs.io/v1alpha1", "DirectorGroup", None, "default", read.clone()),
        ("kube-lvs.io/v1alpha1", "VirtualServiceSlice", Some("default"), "web", read),
        ("kube-lvs.io/v1alpha1", "VirtualService", Some("default"), "web", vec![]),
        ("kube-lvs.io/v1alpha1", "RealServer", Some("default"), "rs", vec![]),
        ("v1", "Secret", Some(NAMESPACE), "secret", vec![]),
        ("v1", "ConfigMap", Some(NAMESPACE), "kube-lvs-defaults", vec![]),
        ("v1", "Pod", Some(NAMESPACE), "kube-lvs-agent-first", vec![]),
        ("v1", "ServiceAccount", Some(NAMESPACE), AGENT, vec![]),
        ("v1", "Node", None, "first", vec![]),
        ("v1", "Namespace", None, "default", vec![]),
        ("v1", "Event", Some("default"), "event", vec![]),
        ("coordination.k8s.io/v1", "Lease", Some(NAMESPACE), OPERATOR, vec![]),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", None, AGENT, vec![]),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            None,
            "lvsnodes.kube-lvs.io",
            vec![],
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicyBinding",
            None,
            AGENT,
            vec![],
        ),
    ];
    for (version, kind, namespace, name, expected) in cases {
        let resource = resource(version, kind);
        let allowed = own.allowed(&resource, *namespace, name);
        assert_eq!(&allowed, expected, "{kind} {name}");
    }
    for account in [AGENT, OPERATOR] {
        let made = plane.block_on(async {
            use k8s_openapi::api::authentication::v1::TokenRequest;
            use k8s_openapi::api::core::v1::ServiceAccount;
            let api: Api<ServiceAccount> = Api::namespaced(own.client.clone(), NAMESPACE);
            let request = TokenRequest::default();
            api.create_subresource::<_, TokenRequest>(
                "token",
                account,
                &PostParams::default(),
                &request,
            )
            .await
        });
        let refused = matches!(&made, Err(kube::Error::Api(it)) if it.code == 403);
        assert!(refused, "a token of {account}: {made:?}");
    }
    Ok(())
}

fn the_operator_reads_no_secret_and_touches_no_node(
    plane: &ControlPlane,
    operator: &Account<'_>,
) -> anyhow::Result<()> {
    assert!(operator.allowed(&resource("v1", "Secret"), Some(NAMESPACE), "secret").is_empty());
    assert!(operator.allowed(&resource("v1", "Pod"), Some(NAMESPACE), "pod").is_empty());
    assert_eq!(operator.allowed(&resource("v1", "Node"), None, "first"), ["get", "list", "watch"]);
    let said = operator.report("first", true).expect_err("a report is its agent's");
    assert!(said.contains("cannot patch resource \"lvsnodes/status\""), "{said}");
    plane.get_cluster::<k8s_openapi::api::core::v1::Node>("first").map(drop)
}

fn a_token_ends_with_its_pod(plane: &ControlPlane, own: &Account<'_>) -> anyhow::Result<()> {
    own.report("first", true).map_err(anyhow::Error::msg)?;
    let api: Api<Pod> = Api::namespaced(plane.client(), NAMESPACE);
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    plane.block_on(api.delete("kube-lvs-agent-first", &at_once))?;
    wait_for("the token holds no more", Duration::from_secs(60), || {
        let said = own.report("first", true).err().context("it still does")?;
        ensure!(said.contains("Unauthorized"), "{said}");
        Ok(())
    });
    Ok(())
}

fn resource(version: &str, kind: &str) -> ApiResource {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
}
