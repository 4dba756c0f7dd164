//! What is wanted, and the node as it is -> the machines.

use super::{LOOK, LOOK_AGAIN, Thread, now};
use crate::failover::Wants;
use crate::failover::backlog::Task;
use crate::failover::carried::{Carried, Running};
use crate::failover::config::{self, Node, Path, Problem, told};
use crate::state::HeldAddress;
use lvs_vrrp::{Config, Event};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

impl Thread {
    /// Wants after which others came before anything was done: of all that they say, only whose addresses were is not said
    /// again.
    pub(super) fn pass(&mut self, passed: Wants) {
        self.io.staying = passed.staying;
    }

    pub(super) fn want(&mut self, wants: Wants) {
        let Wants { number, groups, staying } = wants;
        self.number = number;
        self.news = true;
        self.io.failed.clear();
        let before = mem::replace(&mut self.io.staying, staying);
        self.adopt(
            &before,
            groups
                .values()
                .flat_map(|want| want.routers.values())
                .flat_map(|router| &router.addresses),
        );
        for (held, error) in self.io.addresses.leave(&self.io.links, &self.io.staying) {
            tracing::warn!(address = %held.address, interface = held.interface, %error, "its lifetime stays");
        }
        for name in self.names() {
            if !groups.contains_key(&name) {
                self.leave(&name);
            }
        }
        for (name, want) in groups {
            match self.groups.get_mut(&name) {
                Some(carried) if !carried.leaving => carried.want = want,
                // What it still has is found by the new one.
                _ => {
                    self.groups.insert(name, Carried::new(want));
                }
            }
        }
        self.plan();
        let floats: BTreeSet<HeldAddress> =
            self.groups.values().flat_map(Carried::addresses).cloned().collect();
        self.io.addresses.keep(|held| floats.contains(held));
    }

    /// What the engine had on an interface and floats now is ours, if it stands.
    fn adopt<'a>(
        &mut self,
        before: &BTreeSet<HeldAddress>,
        floating: impl Iterator<Item = &'a HeldAddress>,
    ) {
        let new: Vec<&HeldAddress> = floating
            .filter(|held| before.contains(*held) && !self.io.staying.contains(*held))
            .collect();
        if new.is_empty() {
            return;
        }
        match self.io.addresses.refresh(&self.io.links) {
            Ok(standing) => {
                let new = new.into_iter().filter(|held| standing.contains_key(*held));
                self.io.addresses.adopt(new.cloned());
            }
            Err(error) => tracing::warn!(%error, "addresses cannot be listed"),
        }
    }

    fn leave(&mut self, name: &str) {
        let Some(carried) = self.groups.get_mut(name) else { return };
        if carried.running.is_none() {
            self.groups.remove(name);
        } else if !mem::replace(&mut carried.leaving, true) {
            self.handle(name, Event::Leave);
        }
    }

    /// Tells the machines what has changed.
    pub(super) fn plan(&mut self) {
        let node = Node {
            links: &self.io.links,
            own: self.io.addresses.own(),
            failed: self.io.failed.all(),
        };
        let staying = self.groups.iter().filter(|(_, carried)| !carried.leaving);
        let plans: Vec<_> = staying
            .map(|(name, carried)| (name.clone(), config::plan(&carried.want, node)))
            .collect();
        let plans: Vec<_> = plans
            .into_iter()
            .map(|(name, plan)| {
                let opened = plan.and_then(|(config, path)| match self.io.open(&path) {
                    Ok(()) => Ok((config, path)),
                    Err(error) => Err(Problem::Socket(error.to_string())),
                });
                (name, opened)
            })
            .collect();
        // Before anything is announced.
        self.listen(plans.iter().filter_map(|(_, plan)| plan.as_ref().ok()));
        for (name, plan) in plans {
            self.configure(&name, plan);
        }
        let wrong = |carried: &Carried| carried.problem.is_some() || carried.unsent.is_some();
        let wait = if self.groups.values().any(wrong) { LOOK_AGAIN } else { LOOK };
        let again = self.io.failed.deadline();
        self.look = again.map_or(now() + wait, |again| again.min(now() + wait));
    }

    fn listen<'a>(&mut self, plans: impl Iterator<Item = &'a (Config, Path)>) {
        let mut interfaces = BTreeSet::new();
        self.interest.clear();
        for (config, path) in plans {
            interfaces.extend([path.near, path.by]);
            self.interest.extend(&path.peers);
            for held in config.routers.values().flat_map(|router| &router.addresses) {
                self.interest.insert(held.address.addr());
                interfaces.extend(self.io.links.get(&held.interface).map(|link| link.index));
            }
        }
        self.io.listen(&interfaces);
    }

    fn configure(&mut self, name: &str, plan: Result<(Config, Path), Problem>) {
        let Some(carried) = self.groups.get_mut(name) else { return };
        let problem = plan.as_ref().err().cloned();
        self.news |= carried.problem != problem;
        if let Some(problem) = &problem
            && carried.problem.as_ref() != Some(problem)
        {
            tracing::warn!(group = name, reason = problem.reason(), "{problem}");
        }
        carried.problem = problem;
        let actions = &mut self.actions;
        let before = carried.running.as_ref().map(|running| running.path.clone());
        match (plan, &mut carried.running) {
            (Ok((config, path)), Some(running)) => running.configure(config, path, now(), actions),
            (Ok((config, path)), none) => {
                let addresses = &mut self.io.addresses;
                let wanted = carried.want.routers.values().flat_map(|router| &router.addresses);
                let found = wanted.filter_map(|held| Some((told(held), addresses.found(held)?)));
                let found = found.collect();
                *none = Some(Running::start(config, path, found, now(), actions));
            }
            (Err(problem), Some(running)) => {
                let (config, path) =
                    (config::shut_down(&running.config, &problem), running.path.clone());
                running.configure(config, path, now(), actions);
            }
            (Err(_), None) => {}
        }
        let path = carried.running.as_ref().map(|running| running.path.clone());
        self.act(name);
        let Some(path) = path.filter(|path| before.as_ref() != Some(path)) else { return };
        self.io.introduce(&path);
        // For how long the link is up already when an agent starts nobody knows.
        let came_up = before.is_some_and(|it| it.by == path.by && it.ups != path.ups);
        if came_up {
            self.handle(name, Event::LinkUp);
        }
    }

    /// Puts back what somebody took away, and sees what has changed.
    pub(super) fn look_around(&mut self) {
        self.news |= self.io.failed.forgive(now());
        let standing = match self.io.addresses.refresh(&self.io.links) {
            Ok(standing) => standing,
            Err(error) => {
                tracing::error!(%error, "addresses cannot be listed");
                self.look = now() + LOOK_AGAIN;
                return;
            }
        };
        let (mut notes, mut back) = (Vec::new(), Vec::new());
        for running in self.groups.values().filter_map(|carried| carried.running.as_ref()) {
            let held = running.group.held().iter().cloned().map(config::held);
            let missing: Vec<HeldAddress> = held
                .filter(|held| !standing.contains_key(held) && !self.io.staying.contains(held))
                .collect();
            if missing.is_empty() {
                continue;
            }
            self.news = true;
            notes.extend(self.io.put(&missing, running.lifetime));
            let failed = self.io.failed.all();
            back.extend(
                missing.iter().filter(|held| !failed.contains_key(*held)).map(config::told),
            );
        }
        if !back.is_empty() {
            tracing::warn!(addresses = back.len(), "addresses were gone and are put back");
            self.mended = now();
            // Somebody may have asked meanwhile.
            self.io.backlog.push(Task::Announce, back);
        }
        self.note(false, notes);
        self.put_behind();
        self.plan();
    }

    /// VIPs that have come before the node's own address are no source of its packets.
    fn put_behind(&mut self) {
        let misplaced = self.io.addresses.misplaced(&self.io.staying);
        if misplaced.is_empty() {
            return;
        }
        let mut lifetimes = BTreeMap::new();
        for running in self.groups.values().filter_map(|carried| carried.running.as_ref()) {
            let held = running.group.held().iter().cloned().map(config::held);
            lifetimes.extend(held.map(|held| (held, running.lifetime)));
        }
        let lifetime = |held: &HeldAddress| lifetimes.get(held).copied().flatten();
        for (held, error) in self.io.addresses.put_behind(&self.io.links, &misplaced, lifetime) {
            tracing::warn!(address = %held.address, interface = held.interface, %error, "it came before this node's own address, and cannot be put behind it");
        }
    }
}
