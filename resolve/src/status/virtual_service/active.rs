//! Which of the directors carry a service's VIPs, and whether clients are served by it.

use super::View;
use crate::carriers::{carried, carriers, floating};
use crate::listing::listing;
use crate::spread::Spread;
use crate::status::director::Progress;
use crate::{Resolution, Snapshot, Verdict, reason};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who carries a VirtualService's VIPs.
pub(super) struct Active<'a> {
    /// Their names, in the order of the VIPs, each once.
    pub(super) nodes: Vec<&'a str>,
    /// Who carries which VIP.
    by_vip: BTreeMap<IpAddr, &'a str>,
    /// What nobody carries: how messages call it, and its virtual router's id.
    nobody: Option<(String, Option<i32>)>,
    /// What several carry at once: how messages call it, and who they are.
    pub(super) several: Vec<(String, Vec<&'a str>)>,
}

impl<'a> Active<'a> {
    pub(super) fn of(
        resolution: &'a Resolution,
        addresses: &[String],
        snapshot: &'a Snapshot,
    ) -> Self {
        let by_vip = BTreeMap::new();
        let directors = resolution.directors.iter().map(String::as_str);
        let vips: Vec<IpAddr> = addresses.iter().filter_map(|a| a.parse().ok()).collect();
        let several = Vec::new();
        if let [director] = resolution.directors.as_slice() {
            let by_vip = vips.into_iter().map(|vip| (vip, director.as_str())).collect();
            return Self { nodes: directors.collect(), by_vip, nobody: None, several };
        }
        let name = &resolution.director_group;
        let group = snapshot.director_group(name);
        let Some((group, spread)) = group.and_then(|group| Some((group, Spread::new(group)?)))
        else {
            let nobody = (!resolution.directors.is_empty()).then(|| ("its VIPs".to_owned(), None));
            return Self { nodes: Vec::new(), by_vip, nobody, several };
        };
        let floating = floating(&vips, group, snapshot);
        if floating.is_empty() {
            // Nothing that moves: routers in front of the directors choose among them.
            return Self { nodes: directors.collect(), by_vip, nobody: None, several };
        }
        let mut active = Self { nodes: Vec::new(), by_vip, nobody: None, several };
        for (index, floating) in floating.into_iter().enumerate() {
            let router = spread.router_of(floating);
            let what = || match vips.get(index) {
                Some(vip) => format!("VIP {vip}"),
                None => "the group's natGateways".to_owned(),
            };
            let nodes = router.map(|router| carriers(name, &spread, router, snapshot));
            let nodes = nodes.unwrap_or_default();
            if let [node] = nodes.as_slice() {
                active.by_vip.extend(vips.get(index).map(|vip| (*vip, *node)));
            }
            for node in &nodes {
                if !active.nodes.contains(node) {
                    active.nodes.push(node);
                }
            }
            match nodes.len() {
                0 => {
                    let router = router.map(|router| router.id);
                    active.nobody.get_or_insert_with(|| (what(), router));
                }
                1 => {}
                _ => {
                    let mut nodes = nodes;
                    nodes.sort_unstable();
                    active.several.push((what(), nodes));
                }
            }
        }
        active
    }

    /// Who carries a VIP.
    pub(super) fn carrier(&self, vip: IpAddr) -> Option<&'a str> {
        self.by_vip.get(&vip).copied()
    }
}

impl View<'_> {
    /// What the directors that carry the VIPs say. Others may be out meanwhile.
    pub(super) fn by_reports(&self) -> Verdict {
        let active = |(node, _): &&(&str, Progress)| self.active.nodes.contains(node);
        let mut progress: Vec<&Progress> =
            self.progress.iter().filter(active).map(|(_, progress)| progress).collect();
        if let Some((what, router)) = &self.active.nobody {
            if self.snapshot.is_cluster() {
                return self.nobody(what, *router);
            }
            // Whether another machine carries it cannot be known here; this one stands by.
            progress = self.progress.iter().map(|(_, progress)| progress).collect();
        }
        let verdicts = progress.into_iter().map(|progress| self.one(progress));
        let mut verdicts: Vec<Verdict> = verdicts.collect();
        match verdicts.iter().position(|verdict| !verdict.is_true()) {
            Some(worst) => verdicts.swap_remove(worst),
            None => available(),
        }
    }

    fn one(&self, progress: &Progress) -> Verdict {
        match progress {
            Progress::Programmed => available(),
            Progress::Failed(text) => Verdict::no(reason::NOT_PROGRAMMED, text),
            Progress::Pending(_) | Progress::Silent(_) if self.served_before() => available(),
            Progress::Silent(text) => Verdict::no(reason::AGENT_SILENT, text),
            Progress::Pending(text) => Verdict::no(reason::PENDING, text),
        }
    }

    fn nobody(&self, what: &str, router: Option<i32>) -> Verdict {
        let group = &self.resolution.director_group;
        let Some(id) = router else {
            let text = format!(
                "DirectorGroup {group} has no virtual router that {what} could float with; see its condition Degraded"
            );
            return Verdict::no(reason::NO_ACTIVE_DIRECTOR, text);
        };
        let mut heard = false;
        let says = self.progress.iter().map(|(node, progress)| {
            let carried = carried(group, id, node, self.snapshot);
            heard |= carried.is_some();
            match (carried.and_then(|carried| carried.problem.as_ref()), progress.problem()) {
                (Some(problem), _) => format!("node {node}: {problem}"),
                (None, Some(problem)) => problem.to_owned(),
                (None, None) if carried.is_none() => {
                    format!("node {node}: awaits its report of virtual router {id}")
                }
                (None, None) => format!("node {node} stands by"),
            }
        });
        let says: Vec<String> = says.collect();
        let says = listing(&says, 4);
        match heard {
            true => Verdict::no(
                reason::NO_ACTIVE_DIRECTOR,
                format!("No director carries {what} (virtual router {id}): {says}"),
            ),
            false if self.served_before() => available(),
            false => Verdict::no(reason::PENDING, says),
        }
    }
}

fn available() -> Verdict {
    Verdict::yes(
        reason::AVAILABLE,
        "The directors that carry the VIPs have been read back; Served tells what a client meets.",
    )
}
