//! Which of the real servers work, as far as that matters to clients.

use super::View;
use crate::health::{Finding, ServerHealth};
use crate::listing::listing;
use crate::{Verdict, reason};
use lvs_crds::RealServerCounts;
use std::collections::BTreeSet;

impl View<'_> {
    /// Whether new connections go to a real server: by the word of those that carry the VIPs, and while nobody is known to, of
    /// whoever has one.
    fn is_out(&self, server: &str) -> bool {
        match self.health.get(server) {
            Some(ServerHealth::Down(_)) => true,
            Some(ServerHealth::Differs(finding, _)) => {
                let active = &self.active.nodes;
                !active.is_empty()
                    && active.iter().all(|node| finding.directors.iter().any(|it| it == node))
            }
            Some(ServerHealth::Up | ServerHealth::Awaited) | None => false,
        }
    }

    /// The names of those that new connections may go to.
    pub(super) fn healthy(&self) -> BTreeSet<&str> {
        let servers = self.slices.iter().flat_map(|slice| &slice.spec.real_servers);
        let weighted = servers.filter(|server| server.weight > 0).map(|it| it.name.as_str());
        weighted.filter(|name| !self.is_out(name)).collect()
    }

    pub(super) fn counts(&self) -> RealServerCounts {
        let counts = self.resolution.real_servers.clone();
        if self.health.is_empty() {
            return counts;
        }
        let healthy = i32::try_from(self.healthy().len()).unwrap_or(i32::MAX);
        RealServerCounts { healthy: healthy.min(counts.healthy), ..counts }
    }

    /// All that have a weight are down.
    pub(super) fn all_down(&self) -> Verdict {
        let down = self.health.iter().filter(|(server, _)| self.is_out(server));
        let texts = down
            .filter_map(|(server, health)| Some(format!("{server} ({})", said(health.finding()?))));
        let texts: Vec<String> = texts.collect();
        let text = format!("Every real server is down: {}", listing(&texts, 4));
        Verdict::no(reason::NO_HEALTHY_REAL_SERVERS, text)
    }

    /// What needs an eye: those that are down, and what directors differ in for longer than reports take.
    pub(super) fn ill(&self) -> impl Iterator<Item = (&'static str, String)> {
        let disputed = self.snapshot.is_disputed(self.key);
        self.health.iter().filter_map(move |(server, health)| match health {
            ServerHealth::Differs(finding, up) if disputed => {
                let text = differs(finding, up);
                Some((reason::VIEWS_DIFFER, format!("RealServer {server} is {text}")))
            }
            _ if self.is_out(server) => {
                let text = said(health.finding()?);
                Some((reason::REAL_SERVER_DOWN, format!("RealServer {server} is down: {text}")))
            }
            _ => None,
        })
    }
}

/// `HTTP 503 in 4 ms, 3 of 3, on TCP/80`
pub(crate) fn said(finding: &Finding) -> String {
    match finding.ports.as_slice() {
        [] => finding.reason.clone(),
        ports => format!("{}, on {}", finding.reason, listing(ports, 4)),
    }
}

/// Who finds a real server down and who up.
pub(crate) fn differs(finding: &Finding, up: &[String]) -> String {
    format!(
        "down for {} ({}) and up for {}: see what lies between the former and the server",
        listing(&finding.directors, 4),
        said(finding),
        listing(up, 4)
    )
}
