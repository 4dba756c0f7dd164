//! What became of a group's virtual routers, for the log: who carries what from when on, and why. Pure.

use super::wording::{Line, What};
use lvs_vrrp::{Change, Config, Held, Report, State};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What was last told of one group.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    generation: Option<u64>,
    /// By their names.
    routers: BTreeMap<String, Told>,
    /// Addresses for which somebody else answers.
    conflicts: BTreeSet<Held>,
}

#[derive(Debug, Default)]
struct Told {
    vrid: u8,
    changes: u64,
    /// What this director was last told to hold of it.
    held: BTreeSet<Held>,
    /// It was taken over, and not all of it stands and is announced yet.
    taking: Option<Taking>,
}

#[derive(Debug)]
struct Taking {
    change: Change,
    priority: u8,
    decided: Duration,
}

/// The group as it is.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) config: &'a Config,
    pub(super) report: &'a Report,
    /// All that its machine holds.
    pub(super) held: &'a BTreeSet<Held>,
    /// What stands of that.
    pub(super) stands: &'a dyn Fn(&Held) -> bool,
    /// Why this director cannot serve all of a virtual router, by its id.
    pub(super) ill: &'a dyn Fn(u8) -> Option<String>,
    pub(super) now: Duration,
}

impl Scene<'_> {
    fn peers(&self) -> Vec<String> {
        self.report.live.keys().cloned().collect()
    }

    /// Of those that the router is to have: what is held.
    fn held(&self, addresses: &BTreeSet<Held>) -> BTreeSet<Held> {
        addresses.intersection(self.held).cloned().collect()
    }

    fn line(&self, router: &str, vrid: u8, what: What, addresses: BTreeSet<Held>) -> Line {
        let router = Some((router.to_owned(), vrid));
        Line { router, what, peers: self.peers(), addresses, took: None, since_heard: None }
    }
}

impl Chronicle {
    /// After the machine was told something: what has changed. A take-over is told when it is done, by [`Chronicle::done`].
    pub(super) fn see(&mut self, scene: Scene<'_>) -> Vec<Line> {
        if self.generation.replace(scene.report.generation) == Some(scene.report.generation) {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let mut seen = BTreeSet::new();
        for (vrid, report) in &scene.report.routers {
            let Some(config) = scene.config.routers.get(vrid) else { continue };
            seen.insert(config.name.as_str());
            let told = self.routers.entry(config.name.clone()).or_default();
            told.vrid = vrid.get();
            if told.changes == report.changes {
                continue;
            }
            told.changes = report.changes;
            let Some(change) = report.change.clone() else { continue };
            // It was not long enough for all of it to come.
            if let Some(taking) = told.taking.take() {
                lines.push(taking.line(&config.name, vrid.get(), scene, told.held.clone(), false));
            }
            if report.state == State::Active {
                let (priority, decided) = (report.priority, scene.now);
                told.held = scene.held(&config.addresses);
                told.taking = Some(Taking { change, priority, decided });
                continue;
            }
            let mut addresses = std::mem::take(&mut told.held);
            if matches!(change, Change::Leaving) {
                // They stay until somebody else has them.
                told.held.clone_from(&addresses);
            } else {
                addresses.extend(scene.held(&config.addresses));
            }
            let stay = addresses.iter().any(|held| scene.held.contains(held));
            let ill = (scene.ill)(vrid.get());
            let what = What::Changed { change, priority: report.priority, ill, stay };
            lines.push(scene.line(&config.name, vrid.get(), what, addresses));
        }
        self.routers.retain(|name, told| {
            let wanted = seen.contains(name.as_str());
            if !wanted && !told.held.is_empty() {
                let held = std::mem::take(&mut told.held);
                lines.push(scene.line(name, told.vrid, What::Unwanted, held));
            }
            wanted
        });
        lines.extend(self.conflicts(scene));
        lines
    }

    /// Take-overs of which nothing `waits` any more.
    pub(super) fn done(&mut self, scene: Scene<'_>, waits: impl Fn(&Held) -> bool) -> Vec<Line> {
        let mut lines = Vec::new();
        for (name, told) in &mut self.routers {
            if told.taking.is_none() || told.held.iter().any(&waits) {
                continue;
            }
            if let Some(taking) = told.taking.take() {
                lines.push(taking.line(name, told.vrid, scene, told.held.clone(), true));
            }
        }
        lines
    }

    /// Whether a take-over is not told yet.
    pub(super) fn waits(&self) -> bool {
        self.routers.values().any(|told| told.taking.is_some())
    }

    /// After addresses came or went: those of virtual routers that were carried before and are.
    pub(super) fn compare(&mut self, scene: Scene<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (vrid, report) in &scene.report.routers {
            let Some(config) = scene.config.routers.get(vrid) else { continue };
            let Some(told) = self.routers.get_mut(&config.name) else { continue };
            if report.state != State::Active || told.taking.is_some() {
                continue;
            }
            let held = scene.held(&config.addresses);
            for (these, those, what) in
                [(&held, &told.held, What::Added), (&told.held, &held, What::LetGo)]
            {
                let other: BTreeSet<Held> = these.difference(those).cloned().collect();
                if !other.is_empty() {
                    lines.push(scene.line(&config.name, vrid.get(), what, other));
                }
            }
            told.held = held;
        }
        lines
    }

    /// For whose addresses somebody else answers from now on, or no more.
    fn conflicts(&mut self, scene: Scene<'_>) -> Vec<Line> {
        if scene.report.conflicts.is_empty() && self.conflicts.is_empty() {
            return Vec::new();
        }
        let all = scene.config.routers.values().flat_map(|router| &router.addresses);
        let conflict = |held: &&Held| scene.report.conflicts.contains_key(&held.address.addr());
        let now: BTreeSet<Held> = all.filter(conflict).cloned().collect();
        let line = |what, addresses| {
            let peers = scene.peers();
            Line { router: None, what, peers, addresses, took: None, since_heard: None }
        };
        let new: BTreeSet<Held> = now.difference(&self.conflicts).cloned().collect();
        let over: BTreeSet<Held> = self.conflicts.difference(&now).cloned().collect();
        self.conflicts = now;
        let mut lines = Vec::new();
        if let Some(conflict) =
            new.first().and_then(|held| scene.report.conflicts.get(&held.address.addr()))
        {
            let what = What::Conflict { mac: conflict.mac, member: conflict.peer.clone() };
            lines.push(line(what, new));
        }
        if !over.is_empty() {
            lines.push(line(What::ConflictOver, over));
        }
        lines
    }
}

impl Taking {
    fn line(
        &self,
        name: &str,
        vrid: u8,
        scene: Scene<'_>,
        held: BTreeSet<Held>,
        done: bool,
    ) -> Line {
        let took = scene.now.saturating_sub(self.decided);
        let before = match &self.change {
            Change::TookOver { from, .. } => from.as_ref().map(|from| from.ago),
            _ => None,
        };
        let wanted = scene.config.routers.values().find(|router| router.name == name);
        let stands = |held: &&Held| held_and_stands(held, scene);
        let standing: BTreeSet<Held> = held.iter().filter(stands).cloned().collect();
        let lacking = wanted.map_or(0, |it| it.addresses.difference(&standing).count());
        let (change, priority) = (self.change.clone(), self.priority);
        let mut line =
            scene.line(name, vrid, What::TookOver { change, priority, lacking }, standing);
        line.took = done.then_some(took);
        line.since_heard = before.filter(|_| done).map(|before| before + took);
        line
    }
}

fn held_and_stands(held: &Held, scene: Scene<'_>) -> bool {
    scene.held.contains(held) && (scene.stands)(held)
}

#[cfg(test)]
mod tests;
