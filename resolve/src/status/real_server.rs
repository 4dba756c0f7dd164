//! The status of a RealServer.

use super::virtual_service::health::{differs, said};
use super::{ready, set};
use crate::health::ServerHealth;
use crate::listing::listing;
use crate::{Key, LeftOut, Snapshot, Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::{HEALTHY, READY, RESOLVED, RealServer, RealServerDisplay, RealServerStatus, Truth};

/// What one VirtualService makes of a RealServer that it selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServerReport {
    /// The VirtualService, of the RealServer's namespace.
    pub virtual_service: String,
    /// Why it does not balance to the server, if it does not.
    pub left_out: Option<LeftOut>,
    /// How the server is, where it has it checked.
    pub health: Option<ServerHealth>,
}

/// The status of a RealServer, from the reports of the VirtualServices that select it, in the order of their names.
pub fn real_server_status(
    key: &Key,
    reports: &[RealServerReport],
    snapshot: &Snapshot,
    now: &Time,
) -> RealServerStatus {
    let server = snapshot.real_server(key);
    let generation = server.and_then(|s| s.metadata.generation);
    let old = server.and_then(|s| s.status.as_ref());
    let (addresses, missing) = server.map(|s| addresses(s, snapshot)).unwrap_or_default();
    let mut conditions = old.map(|s| s.conditions.clone()).unwrap_or_default();
    let resolved = verdict(reports, missing);
    set(&mut conditions, RESOLVED, &resolved, generation, now);
    let before = conditions.iter().find(|it| it.type_ == HEALTHY).cloned();
    let healthy = healthy(&key.namespace, reports, before.as_ref(), snapshot);
    set(&mut conditions, HEALTHY, &healthy, generation, now);
    set(&mut conditions, READY, &ready::of_server(&resolved), generation, now);
    let services: Vec<String> = reports.iter().map(|r| r.virtual_service.clone()).collect();
    RealServerStatus {
        observed_generation: generation,
        conditions,
        display: Some(RealServerDisplay {
            addresses: addresses.join(","),
            services: listing(&services, 4),
        }),
        addresses,
        virtual_services: services,
    }
}

fn addresses(server: &RealServer, snapshot: &Snapshot) -> (Vec<String>, Option<String>) {
    match (&server.spec.node_name, &server.spec.address) {
        (Some(node), _) => match snapshot.node(node) {
            Some(facts) => (facts.addresses.iter().map(ToString::to_string).collect(), None),
            None => (Vec::new(), Some(node.clone())),
        },
        (None, address) => (address.iter().cloned().collect(), None),
    }
}

/// What one has it checked for and finds down counts, whatever others find. While directors differ for no longer than their reports
/// take, it is as it was before.
fn healthy(
    namespace: &str,
    reports: &[RealServerReport],
    before: Option<&Condition>,
    snapshot: &Snapshot,
) -> Verdict {
    let all = || reports.iter().filter_map(|it| Some((&it.virtual_service, it.health.as_ref()?)));
    let down = all().find_map(|(service, health)| match health {
        ServerHealth::Down(finding) => Some((service, finding)),
        _ => None,
    });
    if let Some((service, finding)) = down {
        let text = format!(
            "{} (VirtualService {service}, by {})",
            said(finding),
            listing(&finding.directors, 4)
        );
        return Verdict::no(reason::PROBE_FAILED, text);
    }
    for (service, health) in all() {
        if let ServerHealth::Differs(finding, up) = health {
            let lasts = snapshot.is_disputed(&Key::new(namespace, service));
            if let Some(before) = before.filter(|_| !lasts) {
                let status = [Truth::True, Truth::False].into_iter();
                let mut status = status.filter(|it| it.as_str() == before.status);
                return Verdict {
                    status: status.next().unwrap_or(Truth::Unknown),
                    reason: before.reason.clone(),
                    message: before.message.clone(),
                };
            }
            let text = format!("VirtualService {service}: it is {}", differs(finding, up));
            return Verdict::unknown(reason::VIEWS_DIFFER, text);
        }
    }
    if all().any(|(_, health)| *health == ServerHealth::Awaited) {
        return Verdict::unknown(reason::PENDING, "No director has reported of its checks yet.");
    }
    match all().next() {
        Some(_) => Verdict::yes(reason::HEALTHY, "Its checks pass."),
        None => Verdict::unknown(
            reason::NOT_CHECKED,
            "No VirtualService that selects it has a healthCheck, nor has it one itself.",
        ),
    }
}

fn verdict(reports: &[RealServerReport], missing: Option<String>) -> Verdict {
    let problems: Vec<_> = reports
        .iter()
        .filter_map(|r| Some((r.virtual_service.as_str(), r.left_out.as_ref()?)))
        .collect();
    match (problems.first(), missing) {
        (Some((service, problem)), _) => {
            let services: Vec<&str> = problems.iter().map(|(service, _)| *service).collect();
            let others = match services.len() {
                1 => String::new(),
                _ => format!(" (Left out by: {}.)", listing(&services, 4)),
            };
            let message = format!("VirtualService {service}: {}{others}", problem.message);
            Verdict::no(problem.reason, message)
        }
        (None, Some(node)) => Verdict::no(
            reason::NO_SUCH_NODE,
            format!("spec.nodeName: there is no node {node}; correct the name"),
        ),
        (None, None) if reports.is_empty() => Verdict::yes(
            reason::NOT_SELECTED,
            "The address is known; no VirtualService of this namespace selects the server.",
        ),
        (None, None) => Verdict::yes(reason::RESOLVED, "The address is known."),
    }
}
