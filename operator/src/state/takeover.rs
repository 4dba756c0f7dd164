//! Virtual routers that go from one director to another: whose statuses change by it, and one event for all of them.

use super::report::{self, Report, Router};
use super::{State, Target, event};
use jiff::Timestamp;
use lvs_resolve::{carriers_of, services_floating_with};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a virtual router may be without a carrier before its services are told to be: a take-over is a matter of
/// less than a second, but the two directors report it one after the other.
const IN_BETWEEN: Duration = Duration::from_secs(5);

impl State {
    /// Who carries what a report may be about to change.
    pub(super) fn carriers_before(&mut self, before: &Report, after: &Report) {
        for router in report::changed(before, after) {
            if !self.carriers.contains_key(&router) {
                let carriers = carriers_of(&router.0, router.1, &self.snapshot);
                if !carriers.is_empty() {
                    self.carriers.insert(router, carriers);
                }
            }
        }
    }

    /// Marks what hangs on the virtual routers of which a report says something new, and tells who took them over.
    pub(super) fn mark_routers(
        &mut self,
        node: &str,
        before: &Report,
        after: &Report,
        now: Duration,
    ) {
        let mut carried: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        let mut gone: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        let mut moved: BTreeMap<(&str, String, String), BTreeSet<i32>> = BTreeMap::new();
        let mut news = report::changed(before, after);
        news.extend(self.settled_by(node));
        for router in &news {
            let (group, id) = (router.0.as_str(), router.1);
            let carriers = carriers_of(group, id, &self.snapshot);
            let of = if carriers.is_empty() { &mut gone } else { &mut carried };
            of.entry(group).or_default().insert(id);
            if carriers.is_empty() {
                continue;
            }
            let old = self.carriers.insert(router.clone(), carriers.clone());
            // Where several carry it, nothing has been taken over.
            if let (Some([old]), [carrier]) = (old.as_deref(), carriers.as_slice())
                && old != carrier
            {
                moved.entry((group, old.clone(), carrier.clone())).or_default().insert(id);
            }
        }
        for (group, ids) in carried {
            self.queue.mark(Target::Group(group.to_owned()));
            for service in services_floating_with(group, &ids, &self.snapshot) {
                self.mark_service(&service);
            }
        }
        for (group, ids) in gone {
            self.queue.mark(Target::Group(group.to_owned()));
            for service in services_floating_with(group, &ids, &self.snapshot) {
                self.queue.mark_later(Target::VirtualService(service), now + IN_BETWEEN);
            }
        }
        for ((group, from, to), ids) in moved {
            self.tell_take_over(group, &from, &to, &ids);
        }
    }

    /// What a director claims as before and another one too, where that it says so again settles who carries it.
    fn settled_by(&self, node: &str) -> Vec<Router> {
        let is_news = |router: &&Router| {
            let known = self.carriers.get(*router);
            known.is_some_and(|known| *known != carriers_of(&router.0, router.1, &self.snapshot))
        };
        self.snapshot.contested(node).filter(is_news).cloned().collect()
    }

    /// One event a group, however many VIPs moved.
    fn tell_take_over(&mut self, group: &str, from: &str, to: &str, ids: &BTreeSet<i32>) {
        let Some(object) = self.snapshot.director_group(group) else { return };
        if !self.is_synced() {
            return;
        }
        let status = object.status.iter();
        let mut routers = status.flat_map(|status| &status.virtual_routers);
        let home = routers.any(|router| ids.contains(&router.id) && router.home == to);
        let services = services_floating_with(group, ids, &self.snapshot).len();
        let listed: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let note = format!(
            "Node {to} carries what node {from} carried: virtual router{} {}, with the VIPs of {services} VirtualService{}",
            if ids.len() == 1 { "" } else { "s" },
            listed.join(", "),
            if services == 1 { "" } else { "s" },
        );
        let number = self.events.len();
        let now = Timestamp::now();
        let event = event::event(&**object, "TookOver", "TakeOver", note, !home, now, number);
        self.events.push(event);
    }
}
