//! The slices and DirectorGroups as last told, and who must be planned again when one changes.

use crate::director::{Part, part};
use crate::input::{GROUP, SLICE, SliceName, Unreadable, Update};
use crate::plan::{Fragment, Owner, plan, plan_group};
use crate::state::Facts;
use lvs_crds::{DirectorGroup, Member, VirtualRouter, VirtualServiceSlice};
use lvs_resolve::seniority;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Everything told so far, indexed for planning one owner.
#[derive(Debug, Default)]
pub(super) struct World {
    slices: BTreeMap<Owner, BTreeMap<String, VirtualServiceSlice>>,
    owner_of: HashMap<SliceName, Owner>,
    groups: BTreeMap<String, DirectorGroup>,
    users: HashMap<String, BTreeSet<Owner>>,
    leaving: BTreeSet<String>,
    /// What is there now and not understood; what stands above of these is older.
    unreadable: BTreeMap<(&'static str, SliceName), Unreadable>,
}

impl World {
    /// Takes news in and marks as dirty whom it concerns on this node.
    pub(super) fn take(&mut self, update: Update, node: &str, dirty: &mut BTreeSet<Owner>) {
        for (name, slice) in update.slices {
            self.unreadable.remove(&(SLICE, name.clone()));
            self.set_slice(name, slice, dirty);
        }
        for (name, group) in update.groups {
            self.unreadable.remove(&(GROUP, (String::new(), name.clone())));
            let same = match (&group, self.groups.get(&name)) {
                (Some(new), Some(old)) => {
                    new.spec == old.spec && told(new, node) == told(old, node)
                }
                (None, None) => true,
                _ => false,
            };
            if !same {
                dirty.insert(Owner::Group(name.clone()));
                // Which settings count depends on all groups.
                dirty.extend(self.groups.keys().cloned().map(Owner::Group));
                dirty.extend(self.users.get(&name).into_iter().flatten().cloned());
            }
            match group {
                Some(group) => self.groups.insert(name, group),
                None => self.groups.remove(&name),
            };
        }
        for object in update.unreadable {
            self.unreadable.insert((object.kind, object.name.clone()), object);
        }
    }

    /// What there is and is not understood.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = &Unreadable> {
        self.unreadable.values()
    }

    fn set_slice(
        &mut self,
        name: SliceName,
        slice: Option<VirtualServiceSlice>,
        dirty: &mut BTreeSet<Owner>,
    ) {
        if let Some(owner) = self.owner_of.remove(&name) {
            if let Some(slices) = self.slices.get_mut(&owner) {
                if let Some(old) = slices.remove(&name.1)
                    && !slices.values().any(|s| s.spec.director_group == old.spec.director_group)
                    && let Some(users) = self.users.get_mut(&old.spec.director_group)
                {
                    users.remove(&owner);
                }
                if slices.is_empty() {
                    self.slices.remove(&owner);
                }
            }
            dirty.insert(owner);
        }
        if let Some(slice) = slice {
            let owner = Owner::of(&slice);
            self.users.entry(slice.spec.director_group.clone()).or_default().insert(owner.clone());
            self.owner_of.insert(name.clone(), owner.clone());
            self.slices.entry(owner.clone()).or_default().insert(name.1, slice);
            dirty.insert(owner);
        }
    }

    /// Marks everybody dirty.
    pub(super) fn mark_all(&self, dirty: &mut BTreeSet<Owner>) {
        dirty.extend(self.slices.keys().cloned());
        dirty.extend(self.groups.keys().cloned().map(Owner::Group));
    }

    /// What `owner` needs of this node.
    pub(super) fn plan(&self, owner: &Owner, facts: &Facts) -> Fragment {
        match owner {
            Owner::Group(name) => self.groups.get(name).map_or_else(Fragment::default, |group| {
                let part = self.part(group, &facts.node);
                plan_group(group, part, &self.groups_of(&facts.node), facts)
            }),
            Owner::VirtualService { .. } => {
                let slices: Vec<_> =
                    self.slices.get(owner).into_iter().flat_map(BTreeMap::values).collect();
                // All slices of one VirtualService name one group, but while an edit of it is on its way.
                let newest = slices.iter().max_by_key(|slice| {
                    (slice.spec.generation, crate::input::version(&slice.metadata))
                });
                let group = newest.and_then(|slice| self.groups.get(&slice.spec.director_group));
                let part = group.and_then(|group| self.part(group, &facts.node));
                plan(&slices, group, part, facts)
            }
        }
    }

    /// What `node` is in `group`. Until what it carries is at others, a director that is none any more stays one.
    fn part(&self, group: &DirectorGroup, node: &str) -> Option<Part> {
        let leaving = group.metadata.name.as_ref().is_some_and(|name| self.leaving.contains(name));
        part(group, node).or(leaving.then_some(Part::OneOfSeveral))
    }

    /// The groups by name.
    pub(super) fn groups(&self) -> &BTreeMap<String, DirectorGroup> {
        &self.groups
    }

    /// Which groups this node is leaving: it is no director of theirs any more, and carries something still.
    pub(super) fn leave(&mut self, leaving: BTreeSet<String>, dirty: &mut BTreeSet<Owner>) {
        for name in self.leaving.symmetric_difference(&leaving) {
            dirty.insert(Owner::Group(name.clone()));
            dirty.extend(self.users.get(name).into_iter().flatten().cloned());
        }
        self.leaving = leaving;
    }

    /// The groups that `node` is a director of, the oldest first.
    fn groups_of(&self, node: &str) -> Vec<&DirectorGroup> {
        let is_member = |group: &&DirectorGroup| part(group, node).is_some();
        let mut groups: Vec<_> = self.groups.values().filter(is_member).collect();
        groups.sort_by_cached_key(|group| seniority(group));
        groups
    }

    /// The groups that this node is a director of, and how.
    pub(super) fn director_of(&self, node: &str) -> impl Iterator<Item = (&String, Part)> {
        self.groups.iter().filter_map(move |(name, group)| Some((name, part(group, node)?)))
    }
}

/// What a node reads in a group's status.
#[derive(PartialEq)]
struct Told<'a> {
    members: &'a [Member],
    virtual_routers: &'a [VirtualRouter],
    ids: [Option<i32>; 2],
    /// Who asks its VIPs besides, where this node does.
    probers: Option<&'a Vec<String>>,
}

fn told<'a>(group: &'a DirectorGroup, node: &str) -> Option<Told<'a>> {
    let status = group.status.as_ref()?;
    Some(Told {
        members: &status.members,
        virtual_routers: &status.virtual_routers,
        ids: [status.presence_id, status.sync_id],
        probers: status.probers.iter().any(|it| it == node).then_some(&status.probers),
    })
}
