//! Directors that carry the same at once, and why.

use crate::carriers::carriers;
use crate::listing::{all, listing};
use crate::spread::Spread;
use crate::{Snapshot, reason};
use lvs_crds::DirectorGroup;
use std::collections::BTreeMap;

/// How many virtual routers a message names.
const NAMED: usize = 8;

/// What is wrong, for each set of directors that carry something together.
pub(super) fn problems(
    name: &str,
    group: &DirectorGroup,
    snapshot: &Snapshot,
) -> Vec<(&'static str, String)> {
    let Some(spread) = Spread::new(group) else { return Vec::new() };
    let mut together: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    for router in spread.routers() {
        let mut nodes = carriers(name, &spread, router, snapshot);
        if nodes.len() > 1 {
            nodes.sort_unstable();
            together.entry(nodes).or_default().push(router.id.to_string());
        }
    }
    let problem = |(nodes, routers): (Vec<&str>, Vec<String>)| {
        let (plural, are) = if routers.len() == 1 { ("", "is") } else { ("s", "are") };
        let text = format!(
            "virtual router{plural} {} {are} on {} at once, and clients meet any of them: {}",
            listing(&routers, NAMED),
            all(&nodes),
            cause(name, &nodes, snapshot)
        );
        (reason::SPLIT_BRAIN, text)
    };
    together.into_iter().map(problem).collect()
}

/// Why, as far as their reports tell: they all report, so whom one does not hear is cut off from it.
fn cause(group: &str, nodes: &[&str], snapshot: &Snapshot) -> String {
    let deaf = nodes.iter().filter_map(|node| {
        let report = snapshot.lvs_node(node)?.status.as_ref()?;
        let heard = report.director_of.iter().find(|it| it.group == group)?.hears.as_ref()?;
        let unheard = |other: &&&str| *other != node && !heard.iter().any(|it| it == **other);
        let unheard: Vec<&str> = nodes.iter().filter(unheard).copied().collect();
        (!unheard.is_empty()).then(|| format!("{node} hears nothing from {}", all(&unheard)))
    });
    let deaf: Vec<String> = deaf.collect();
    if deaf.is_empty() {
        let text = "no report tells why; see the logs of their agents, and whether VRRP (IP protocol 112) passes both ways";
        return text.to_owned();
    }
    let deaf = listing(&deaf, NAMED);
    format!("{deaf}; let VRRP (IP protocol 112) pass between them: firewalls, switches, VLANs")
}
