//! The numbers that a group needs on its link: ids of virtual routers and of presence (VRIDs), and the sync daemons'.
//!
//! With a cluster the operator hands them out, and what a group has it keeps. Without one every agent works them out
//! for itself, at any time and with any past, so that they follow from the groups' specs alone.

#[cfg(test)]
mod tests;

use super::seniority;
use crate::spread::{hash, wanted};
use crate::{Snapshot, reason};
use lvs_crds::{DirectorGroup, Member, VirtualRouter};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What VRRP's and IPVS's fields of 8 bits hold besides 0.
const ALL: RangeInclusive<i32> = 1..=255;

/// What a group gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allocation {
    pub(super) virtual_routers: Vec<VirtualRouter>,
    pub(super) presence_id: Option<i32>,
    pub(super) sync_id: Option<i32>,
    /// What could not be had.
    pub(super) problems: Vec<(&'static str, String)>,
}

/// What a group of these directors gets. Nothing with one director, who has nobody to speak with.
pub(super) fn allocate(
    name: &str,
    group: &DirectorGroup,
    members: &[Member],
    snapshot: &Snapshot,
) -> Allocation {
    if snapshot.is_cluster() {
        let names: Vec<&str> = members.iter().map(|member| member.node.as_str()).collect();
        let strangers = strangers(&names, snapshot);
        let others = Others::of_statuses(name, group, snapshot);
        return numbers(name, group, &names, &Held::by(group), &others, &strangers);
    }
    let mut others = Others::default();
    for (other, group) in snapshot.director_groups() {
        let mut names: Vec<&str> = group.spec.members.iter().map(|m| m.node.as_str()).collect();
        names.sort_unstable();
        others.fixed = fixed(other, snapshot);
        let nothing = Held::default();
        let found = numbers(other, group, &names, &nothing, &others, &BTreeSet::new());
        if other == name {
            return found;
        }
        others.take(&found.virtual_routers, found.presence_id, found.sync_id, true);
    }
    Allocation::default()
}

/// The virtual router ids that somebody else uses on these directors' links. A node with an agent is nobody else: one that
/// has just left the group is heard until it has handed over what it carried.
fn strangers(directors: &[&str], snapshot: &Snapshot) -> BTreeSet<i32> {
    let heard = directors.iter().filter_map(|node| snapshot.lvs_node(node)?.status.as_ref());
    let is_ours = |address: &str| {
        let nodes = address.parse().into_iter().flat_map(|address| snapshot.nodes_with(address));
        nodes.into_iter().any(|node| snapshot.lvs_node(node).is_some())
    };
    let strangers = heard.flat_map(|report| &report.strangers);
    strangers.filter(|stranger| !is_ours(&stranger.address)).map(|stranger| stranger.id).collect()
}

/// What a group has by its status.
#[derive(Default)]
struct Held<'a> {
    routers: BTreeMap<(&'a str, i32), i32>,
    presence: Option<i32>,
    sync: Option<i32>,
}

impl<'a> Held<'a> {
    fn by(group: &'a DirectorGroup) -> Self {
        let Some(status) = &group.status else { return Self::default() };
        let routers = status.virtual_routers.iter();
        Self {
            routers: routers.map(|r| ((r.home.as_str(), r.number), r.id)).collect(),
            presence: status.presence_id,
            sync: status.sync_id,
        }
    }

    fn ids(&self) -> BTreeSet<i32> {
        self.routers.values().chain(&self.presence).copied().collect()
    }
}

/// What other groups have.
#[derive(Default)]
struct Others {
    /// Virtual router ids, and whether a group has each that comes before this one: it keeps what both have.
    routers: BTreeMap<i32, bool>,
    /// The same of sync ids.
    syncs: BTreeMap<i32, bool>,
    /// Sync ids that other groups' specs fix, and by which.
    fixed: BTreeMap<i32, String>,
}

impl Others {
    fn of_statuses(name: &str, group: &DirectorGroup, snapshot: &Snapshot) -> Self {
        let mut others = Self { fixed: fixed(name, snapshot), ..Self::default() };
        for (_, other) in snapshot.director_groups().filter(|(other, _)| *other != name) {
            let Some(status) = &other.status else { continue };
            let first = seniority(other) < seniority(group);
            others.take(&status.virtual_routers, status.presence_id, status.sync_id, first);
        }
        others
    }

    fn take(
        &mut self,
        routers: &[VirtualRouter],
        presence: Option<i32>,
        sync: Option<i32>,
        first: bool,
    ) {
        for id in routers.iter().map(|router| router.id).chain(presence) {
            *self.routers.entry(id).or_default() |= first;
        }
        if let Some(id) = sync {
            *self.syncs.entry(id).or_default() |= first;
        }
    }
}

/// The sync ids that groups other than this one fix.
fn fixed(name: &str, snapshot: &Snapshot) -> BTreeMap<i32, String> {
    let others = snapshot.director_groups().filter(|(other, _)| *other != name);
    let of = |(other, group): (&String, &std::sync::Arc<DirectorGroup>)| {
        let sync = group.spec.connection_sync.as_ref()?;
        let id = sync.sync_id.filter(|_| sync.enabled != Some(false))?;
        Some((id, other.clone()))
    };
    others.filter_map(of).collect()
}

fn numbers(
    name: &str,
    group: &DirectorGroup,
    members: &[&str],
    held: &Held<'_>,
    others: &Others,
    strangers: &BTreeSet<i32>,
) -> Allocation {
    let mut found = Allocation::default();
    if members.len() < 2 {
        return found;
    }
    let fixed = group.spec.failover.as_ref().and_then(|failover| failover.virtual_router_ids);
    let range = fixed.map_or(ALL, |ids| ids.first..=ids.last);
    let keeps = |id: &i32| {
        range.contains(id) && !strangers.contains(id) && others.routers.get(id) != Some(&true)
    };
    let is_free = |id: &i32| keeps(id) && !others.routers.contains_key(id);
    // What this group keeps is not free for others, even where a younger one has it too.
    let kept = held.routers.values().chain(&held.presence).filter(|id| keeps(id));
    let kept: BTreeSet<i32> = kept.copied().collect();
    let mut room: BTreeSet<i32> = range.clone().filter(is_free).chain(kept).collect();
    let available = room.len();
    found.presence_id = held.presence.filter(|id| room.remove(id));
    if found.presence_id.is_none() {
        found.presence_id = pick(&[name, "presence"], &range, &mut room, &held.ids());
    }
    let mut wanted = wanted(members);
    let needed = wanted.len() + 1;
    // Each director's first one first: where there are too few, each has its share.
    wanted.sort_by_key(|(home, number)| (*number, *home));
    wanted.truncate(room.len());
    let mut open = Vec::new();
    for (home, number) in wanted {
        match held.routers.get(&(home, number)).filter(|id| room.remove(*id)) {
            Some(id) => found.virtual_routers.push(router(*id, home, number)),
            None => open.push((home, number)),
        }
    }
    for (home, number) in open {
        let key = [name, home, &number.to_string()];
        if let Some(id) = pick(&key, &range, &mut room, &held.ids()) {
            found.virtual_routers.push(router(id, home, number));
        }
    }
    found.virtual_routers.sort_by(|a, b| (&a.home, a.number).cmp(&(&b.home, b.number)));
    if available < needed {
        let foreign = strangers.iter().filter(|id| range.contains(id)).count();
        found.problems.push(too_few(members, needed, available, foreign, &range, &found));
    }
    sync(name, group, held, others, &mut found);
    found
}

fn router(id: i32, home: &str, number: i32) -> VirtualRouter {
    VirtualRouter { id, home: home.to_owned(), number }
}

/// Takes an id out of `room`, none of `spare` if there is another: directors that have not heard of a change yet would take
/// it for what it was. Hashed, so that what is made anew most likely gets
/// what it had, and what comes or goes beside it moves little.
fn pick(
    key: &[&str],
    range: &RangeInclusive<i32>,
    room: &mut BTreeSet<i32>,
    spare: &BTreeSet<i32>,
) -> Option<i32> {
    let size = u64::try_from(range.clone().count()).ok()?;
    let start = range.start() + i32::try_from(hash(key).checked_rem(size)?).ok()?;
    let find = |avoid: &BTreeSet<i32>| {
        let mut ids = room.range(start..).chain(room.range(..start));
        ids.find(|id| !avoid.contains(id)).copied()
    };
    let id = find(spare).or_else(|| find(&BTreeSet::new()))?;
    room.remove(&id);
    Some(id)
}

fn too_few(
    members: &[&str],
    needed: usize,
    available: usize,
    foreign: usize,
    range: &RangeInclusive<i32>,
    found: &Allocation,
) -> (&'static str, String) {
    let homes: BTreeSet<&str> = found.virtual_routers.iter().map(|r| r.home.as_str()).collect();
    let without = members.len() - homes.len();
    let effect = match (homes.len(), without) {
        (0, _) => "so nothing fails over".to_owned(),
        (_, 0) => "so what a director leaves spreads over fewer of the others".to_owned(),
        _ => format!("so {without} of the directors carry VIPs only while others are out"),
    };
    let heard = match foreign {
        0 => String::new(),
        1 => " (1 is in use by somebody else on the link)".to_owned(),
        _ => format!(" ({foreign} are in use by others on the link)"),
    };
    let text = format!(
        "spec.failover.virtualRouterIDs: {} directors need {needed} virtual router ids, and of {} to {} there {} \
         {available} free{heard}, {effect}; widen the range, or use fewer directors or groups",
        members.len(),
        range.start(),
        range.end(),
        if available == 1 { "is" } else { "are" },
    );
    (reason::TOO_FEW_VIRTUAL_ROUTER_IDS, text)
}

/// The sync daemons' id: the spec's, else the one that the group has, else a free one.
fn sync(
    name: &str,
    group: &DirectorGroup,
    held: &Held<'_>,
    others: &Others,
    found: &mut Allocation,
) {
    let spec = group.spec.connection_sync.as_ref();
    if spec.is_some_and(|sync| sync.enabled == Some(false)) {
        return;
    }
    if let Some(id) = spec.and_then(|sync| sync.sync_id) {
        found.sync_id = Some(id);
        if let Some(other) = others.fixed.get(&id) {
            let text = format!(
                "spec.connectionSync.syncID: DirectorGroup {other} has {id} too, so on a common network each takes in the \
                 other's connections; use another, or leave it out to have one chosen"
            );
            found.problems.push((reason::SYNC_ID_CONFLICT, text));
        }
        return;
    }
    let keeps = |id: &i32| !others.fixed.contains_key(id) && others.syncs.get(id) != Some(&true);
    found.sync_id = held.sync.filter(keeps);
    if found.sync_id.is_none() {
        let mut room = ALL.filter(|id| keeps(id) && !others.syncs.contains_key(id)).collect();
        found.sync_id = pick(&[name, "sync"], &ALL, &mut room, &BTreeSet::new());
    }
    if found.sync_id.is_none() {
        let text = "spec.connectionSync.syncID: all of 1 to 255 are other groups', so connections are not synced; set one";
        found.problems.push((reason::NO_FREE_SYNC_ID, text.to_owned()));
    }
}
