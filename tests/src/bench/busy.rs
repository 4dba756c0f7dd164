//! Whether directors believe each other dead when all CPUs are busy: in real time.

use std::process::Command;
use std::time::Duration;

use crate::net::Daemon;
use crate::scenario::{Directors, virtual_service};
use crate::traffic::Server;

const VIP: &str = "192.168.0.10";
/// Until everybody has taken its part, and what is begun late is over.
const SETTLED: Duration = Duration::from_secs(30);

/// What was counted while all CPUs were busy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// Changes of who carries something; none of them had a reason.
    pub transitions: f64,
    /// Times that a director was not let to run for three intervals, and let go.
    pub stalls: f64,
    /// Advertisements that were received.
    pub advertisements: f64,
}

/// Lets three directors run for so long beside as many programs that never sleep as wanted.
///
/// # Errors
/// When those do not start.
pub fn busy(group: &str, time: Duration, programs: usize) -> anyhow::Result<Busy> {
    let mut net = Directors::nat(3, 1);
    net.listen(Server::tcp, "0.0.0.0:8080");
    let ports = "ports: [{port: 80, targetPort: 8080}]";
    let spec = format!("addresses: [{VIP}], forwarding: NAT, scheduler: rr, {ports}");
    let mut objects = net.real_servers(false, "weight: 1");
    objects.push(virtual_service("web", &spec));
    net.apply(group, &objects);
    net.holder(VIP);
    std::thread::sleep(SETTLED);
    let before = counted(&net);
    let spin = || net.client.spawn(Command::new("sh").args(["-c", "while :; do :; done"]));
    let spinning: Vec<Daemon> = (0..programs).map(|_| spin()).collect();
    std::thread::sleep(time);
    drop(spinning);
    let after = counted(&net);
    Ok(Busy {
        transitions: after.transitions - before.transitions,
        stalls: after.stalls - before.stalls,
        advertisements: after.advertisements - before.advertisements,
    })
}

fn counted(net: &Directors) -> Busy {
    let sum = |name: &str, of: &str| net.agents.iter().map(|it| it.metric(name, of)).sum();
    Busy {
        transitions: sum("lvs_agent_vrrp_transitions_total", ""),
        stalls: sum("lvs_agent_vrrp_stalls_total", ""),
        advertisements: sum("lvs_agent_vrrp_advertisements_total", "received"),
    }
}
