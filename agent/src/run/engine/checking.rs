//! What this node checks of real servers, and what it found.

use super::Engine;
use crate::health::{Checker, Known, Nobody, Target, Verdict, Verdicts, saved};
use crate::kernel::Kernel;
use crate::plan::{Down, Fragment, Owner};
use lvs_crds::{DownServer, HealthReport, InitialHealth, MAX_DOWN};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What has been told to whoever checks, and what was heard of it.
pub(in crate::run) struct Checking {
    checker: Box<dyn Checker>,
    verdicts: Verdicts,
    /// Who wants a target checked, and its serial.
    owners: BTreeMap<Target, (u64, BTreeSet<Owner>)>,
    serial: u64,
    /// Where verdicts outlive this run.
    file: Option<PathBuf>,
}

impl Default for Checking {
    fn default() -> Self {
        let (verdicts, owners) = (Verdicts::default(), BTreeMap::new());
        Self { checker: Box::new(Nobody), verdicts, owners, serial: 0, file: None }
    }
}

impl Checking {
    /// Has somebody check, who goes on from what an earlier run found.
    pub(in crate::run) fn set(&mut self, checker: Box<dyn Checker>, file: PathBuf) {
        self.checker = checker;
        self.verdicts = saved::load(&file);
        self.file = Some(file);
    }

    fn tell(&mut self, owner: &Owner, old: BTreeSet<Target>, new: BTreeSet<Target>) {
        // A check that asks the same at other times goes on from what was found: an edit says nothing of the servers.
        let found = |target: &Target| {
            let up = || (target.check.initial == InitialHealth::Up).then(Verdict::unturned);
            let verdict = self.verdicts.get(target).cloned().or_else(up)?;
            Some((target.question(), verdict))
        };
        let before: BTreeMap<Target, Verdict> = old.difference(&new).filter_map(found).collect();
        for target in old.difference(&new) {
            if let Some((_, owners)) = self.owners.get_mut(target) {
                owners.remove(owner);
                if owners.is_empty() {
                    self.owners.remove(target);
                    self.verdicts.remove(target);
                }
            }
        }
        self.serial += 1;
        let serial = self.serial;
        for target in new.difference(&old) {
            let none = || (serial, BTreeSet::new());
            self.owners.entry(target.clone()).or_insert_with(none).1.insert(owner.clone());
            let known = self.verdicts.get(target).is_some();
            if let Some(verdict) = before.get(&target.question()).filter(|_| !known) {
                self.verdicts.set(target.clone(), verdict.clone());
            }
        }
        let known = |target: Target| {
            let verdict = self.verdicts.get(&target).cloned();
            let serial = self.owners.get(&target).map_or(serial, |(serial, _)| *serial);
            (target, Known { serial, verdict })
        };
        let targets: BTreeMap<Target, Known> = new.into_iter().map(known).collect();
        self.checker.check(owner.clone(), targets);
    }

    fn save(&self) {
        if let Some(file) = &self.file
            && let Err(error) = saved::save(file, &self.verdicts)
        {
            tracing::warn!(%error, "what checks found would not survive a restart");
        }
    }
}

impl<K: Kernel> Engine<K> {
    /// A fragment is about to take the place of another one: whom it has checked is told, and what is down is not in it.
    pub(super) fn heed(&mut self, owner: &Owner, fragment: &mut Fragment) {
        let none = Fragment::default();
        let old = self.fragments.health_of(owner).unwrap_or(&none);
        if old.checked != fragment.checked {
            self.checking.tell(owner, old.targets(), fragment.targets());
        }
        fragment.heed(&self.checking.verdicts);
        if old.down != fragment.down {
            log(owner, &old.down, fragment);
        }
    }

    /// Takes in what has turned; returns whether anything has.
    pub(in crate::run) fn checked(&mut self) -> bool {
        let turned = self.checking.checker.turned();
        let mut news = false;
        for (target, serial, verdict) in turned {
            // One that nobody wants checked any more, or anew since, was under way.
            let wanted = self.checking.owners.get(&target).filter(|(since, _)| *since == serial);
            let Some((_, owners)) = wanted else { continue };
            self.dirty.extend(owners.iter().cloned());
            if !verdict.unfit {
                self.metrics.turned(verdict.up);
            }
            self.checking.verdicts.set(target, verdict);
            news = true;
        }
        if news {
            self.checking.save();
        }
        news
    }

    pub(in crate::run) fn health(&self) -> Option<HealthReport> {
        let checked = self.fragments.checked();
        let mut all = self.fragments.down().filter_map(|(owner, server, down)| match owner {
            Owner::VirtualService { namespace, name } => Some(DownServer {
                namespace: namespace.clone(),
                virtual_service: name.clone(),
                real_server: server.clone(),
                ports: down.ports.iter().cloned().collect(),
                reason: down.reason.clone(),
            }),
            Owner::Group(_) => None,
        });
        let down: Vec<DownServer> = all.by_ref().take(MAX_DOWN).collect();
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let down_count = number(down.len() + all.count());
        (checked > 0).then(|| HealthReport { checked: number(checked), down_count, down })
    }
}

/// One line a real server that has turned.
fn log(owner: &Owner, before: &BTreeMap<String, Down>, fragment: &Fragment) {
    for (server, down) in &fragment.down {
        if before.get(server).map(|old| &old.ports) != Some(&down.ports) {
            let ports = down.ports.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::warn!(object = %owner, server, ports, "real server is down: {}", down.reason);
        }
    }
    let checked: BTreeSet<&str> = fragment.checked.values().map(|it| it.server.as_str()).collect();
    for server in before.keys().filter(|server| !fragment.down.contains_key(*server)) {
        if checked.contains(server.as_str()) {
            tracing::info!(object = %owner, server, "real server is up again");
        }
    }
}
