//! Reports of real servers that are down: whom they concern, not more often than anybody reads, and when directors differ.

use super::report::Report;
use super::{State, Target};
use lvs_resolve::{Key, ServerHealth, resolve, server_health};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Statuses are written again after this time at the earliest, however often real servers turn.
const PAUSE: Duration = Duration::from_secs(1);
/// How long directors may differ before it is told: each checks at moments of its own and reports at moments of its own.
const IN_BETWEEN: Duration = Duration::from_secs(5);

/// When what was marked, and since when directors differ.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// When it was looked at last, or is to be.
    marked: BTreeMap<Key, Duration>,
    differing: BTreeMap<Key, Duration>,
}

impl State {
    /// Marks the VirtualServices of whose real servers a report says something new.
    pub(super) fn mark_health(&mut self, before: &Report, after: &Report, now: Duration) {
        let (old, new) = (&before.down, &after.down);
        let services: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
        let mut changed: BTreeSet<Key> = services
            .into_iter()
            .filter(|service| old.get(*service) != new.get(*service))
            .cloned()
            .collect();
        if before.checks != after.checks {
            // It has begun to check, or has ended: what was not known of them is.
            let groups = after.whole_node.groups().chain(before.whole_node.groups());
            changed
                .extend(groups.flat_map(|group| self.snapshot.services_of_group(group)).cloned());
        }
        for service in changed {
            self.note_differing(&service, now);
            self.mark_seldom(service, now);
        }
    }

    fn note_differing(&mut self, service: &Key, now: Duration) {
        if !self.differing(service).is_empty() {
            self.views.differing.entry(service.clone()).or_insert(now);
        } else {
            self.views.differing.remove(service);
            self.snapshot.set_disputed(service, false);
        }
    }

    /// The real servers of a VirtualService in which directors differ.
    fn differing(&self, service: &Key) -> Vec<Key> {
        let Some(resolution) = resolve(service, &self.snapshot) else { return Vec::new() };
        let health = server_health(service, &resolution, &self.snapshot).into_iter();
        let differ = health.filter(|(_, health)| matches!(health, ServerHealth::Differs(..)));
        differ.map(|(server, _)| Key::new(&service.namespace, &server)).collect()
    }

    fn mark_seldom(&mut self, service: Key, now: Duration) {
        let target = Target::VirtualService(service.clone());
        if self.queue.is_waiting(&target) {
            // It is to be looked at, and sees this then.
            return;
        }
        let next = self.views.marked.get(&service).map_or(now, |last| *last + PAUSE);
        self.views.marked.insert(service, next.max(now));
        if next > now {
            self.queue.mark_later(target, next);
        } else {
            self.queue.mark(target);
        }
    }

    /// Tells of those of which directors have differed for long enough.
    pub(super) fn look_at_views(&mut self, now: Duration) {
        self.views.marked.retain(|_, last| now < *last + PAUSE);
        let due = |(service, since): (&Key, &Duration)| {
            (*since + IN_BETWEEN <= now).then(|| service.clone())
        };
        let due: Vec<Key> = self.views.differing.iter().filter_map(due).collect();
        for service in due {
            self.views.differing.remove(&service);
            // One of them may have fallen silent meanwhile.
            let servers = self.differing(&service);
            if servers.is_empty() {
                continue;
            }
            self.snapshot.set_disputed(&service, true);
            self.mark_service(&service);
            servers.into_iter().for_each(|server| self.queue.mark(Target::RealServer(server)));
        }
    }
}
