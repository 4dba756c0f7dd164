//! What an audit for drift costs in a large table. Standalone, as the control plane has no part in it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::wide::{NETWORKS, wide_real_server, wide_services};
use crate::control_plane::program;
use crate::eventually;
use crate::net::{Link, Node};
use crate::scenario::{AGENT, director_group, metric};

/// How many audits are measured.
const COUNT: f64 = 10.0;
/// How long programming or the audits may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// One audit, on average.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// By the agent's own clock.
    pub time: Duration,
    /// Requests to the kernel, of all kinds.
    pub requests: f64,
}

/// Has an agent program `services` x `real_servers` from files, and watches it audit.
///
/// # Errors
/// When the files cannot be written.
pub fn audit(services: u16, real_servers: u8) -> anyhow::Result<Audit> {
    let lan = Link::new("lan");
    let director = Node::new("director").on(&lan, "eth0", "10.2.0.1/24");
    let folder = Path::new("/tmp/manifests");
    fs::create_dir_all(folder)?;
    let group = director_group("default", &format!("nodeSelector: {{}}, {NETWORKS}"));
    let files = [group].into_iter().chain((1..=real_servers).map(wide_real_server));
    for (number, manifest) in files.chain(wide_services(services)?).enumerate() {
        fs::write(folder.join(format!("{number}.yaml")), manifest)?;
    }
    let mut command = Command::new(program("lvs-agent"));
    command.args(["--manifests", "/tmp/manifests", "--node-name", director.name()]);
    command.args(["--state-dir", "/tmp/agent", "--listen", AGENT]);
    let _agent = director.spawn(&mut command);
    let programmed = || director.services().iter().map(|service| service.destinations.len()).sum();
    let wanted = usize::from(services) * usize::from(real_servers);
    eventually("the table is programmed", PATIENCE, programmed, |count: &usize| *count == wanted);

    let read = || {
        let audits = metric(&director, "lvs_agent_audit_duration_seconds_count");
        let time = metric(&director, "lvs_agent_audit_duration_seconds_sum");
        (audits, time, metric(&director, "lvs_agent_kernel_requests_total"))
    };
    // The first may still have had something to do.
    let (first, ..) = read();
    let enough = |count: f64| move |(audits, ..): &(f64, f64, f64)| *audits >= count;
    let (first, time, requests) = eventually("audits begin", PATIENCE, read, enough(first + 2.0));
    let (last, later, more) = eventually("audits go on", PATIENCE, read, enough(first + COUNT));
    let audits = last - first;
    Ok(Audit {
        time: Duration::from_secs_f64((later - time) / audits),
        requests: (more - requests) / audits,
    })
}
