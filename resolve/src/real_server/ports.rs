//! Which of a service's ports a real server serves, and with which of its own.

use super::Problem;
use crate::listing::listing;
use crate::reason;
use lvs_crds::{Forwarding, RealServer, ServicePort, SlicePort, VirtualService};

/// The service's ports that the server serves, and with which of its own; none, and no error, with a firewall mark,
/// whose packets come to the ports that clients ask for.
pub(super) fn ports(
    vs: &VirtualService,
    server: &RealServer,
    forwarding: Forwarding,
) -> Result<Vec<SlicePort>, Problem> {
    let mut served = Vec::new();
    let mut missing = Vec::new();
    for port in &vs.spec.ports {
        let Some(target_port) = target(server, port) else {
            missing.push(port.name.as_deref().unwrap_or("(no name)"));
            continue;
        };
        if target_port != port.port
            && let Some(why) = untranslatable(vs, port, forwarding)
        {
            return Err((reason::PORT_MISMATCH, mismatch(port, target_port, &why)));
        }
        served.push(SlicePort { protocol: port.protocol, port: port.port, target_port });
    }
    if served.is_empty() {
        let message = format!(
            "spec.ports: none is named like a port of the service ({}); name them alike, or leave spec.ports out",
            listing(&missing, 4)
        );
        return Err((reason::NO_PORT, message));
    }
    if vs.spec.firewall_mark.is_none() {
        return Ok(served);
    }
    if !missing.is_empty() {
        // It would get the connections to those ports too, and refuse them.
        let message = format!(
            "spec.ports: a firewall mark makes one service of all its ports, and the server has none named {}; add \
             those, or leave spec.ports out",
            listing(&missing, 4)
        );
        return Err((reason::NO_PORT, message));
    }
    Ok(Vec::new())
}

/// Why a real server cannot serve this port on another of its own, if it cannot.
fn untranslatable(
    vs: &VirtualService,
    port: &ServicePort,
    forwarding: Forwarding,
) -> Option<String> {
    // Of a mark, as of port 0, IPVS passes on the port that the client asked for (`ip_vs_sched_persist`).
    if vs.spec.firewall_mark.is_some() {
        Some("with a firewall mark no port is translated".to_owned())
    } else if port.port == 0 {
        Some("port 0 stands for every port, and none is translated".to_owned())
    } else if forwarding == Forwarding::NAT {
        None
    } else {
        Some(format!("{forwarding} does not translate ports"))
    }
}

fn mismatch(port: &ServicePort, target_port: i32, why: &str) -> String {
    let ServicePort { protocol, port: number, end_port, .. } = port;
    match (number, end_port) {
        (0, _) => format!(
            "spec.ports: port {target_port} for the service's {protocol}/0: {why}; leave it out of spec.ports and \
             targetPort"
        ),
        (_, Some(end)) if end != number => format!(
            "spec.ports: port {target_port} for the service's {protocol}/{number}-{end}: {why}; write the range's \
             first port, {number}, or leave spec.ports out"
        ),
        _ => {
            let other = if why.starts_with("with a") {
                "leave firewallMark out"
            } else {
                "use forwarding NAT"
            };
            format!(
                "spec.ports: port {target_port} for the service's {protocol}/{number}: {why}; let the server listen \
                 on {number}, or {other}"
            )
        }
    }
}

/// The server's port for a service's port: its own entry of that name, else the service's target; none where it has
/// entries and none of that name.
fn target(server: &RealServer, port: &ServicePort) -> Option<i32> {
    if server.spec.ports.is_empty() {
        return Some(port.target_port.unwrap_or(port.port));
    }
    server.spec.ports.iter().find(|p| p.name == port.name).map(|p| p.port)
}
