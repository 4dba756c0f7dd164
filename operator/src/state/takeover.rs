//! Virtual routers that go from one director to another: whose statuses change by it, and one event for all of them.

use super::report::{self, Report, Router};
use super::{State, Target, event};
use jiff::Timestamp;
use lvs_resolve::{carrier_of, services_floating_with};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a virtual router may be without a carrier before its services are told to be: a take-over is a matter of
/// less than a second, but the two directors report it one after the other.
const IN_BETWEEN: Duration = Duration::from_secs(5);

impl State {
    /// Who carries what a report may be about to change.
    pub(super) fn carriers_before(&mut self, before: &Report, after: &Report) {
        for router in report::changed(before, after) {
            if !self.carriers.contains_key(&router)
                && let Some(carrier) = carrier_of(&router.0, router.1, &self.snapshot)
            {
                self.carriers.insert(router, carrier);
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
        news.extend(self.settled_by(node, after));
        for router in &news {
            let (group, id) = (router.0.as_str(), router.1);
            let carrier = carrier_of(group, id, &self.snapshot);
            let of = if carrier.is_some() { &mut carried } else { &mut gone };
            of.entry(group).or_default().insert(id);
            let Some(carrier) = carrier else { continue };
            let old = self.carriers.insert(router.clone(), carrier.clone());
            if let Some(old) = old.filter(|old| *old != carrier) {
                moved.entry((group, old, carrier)).or_default().insert(id);
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

    /// What a director claims as before, while another one was taken for the carrier: of two that claim it the newer report
    /// counts, and that may be this one now: no two clocks are quite the same.
    fn settled_by(&self, node: &str, report: &Report) -> Vec<Router> {
        let rivalled = |router: &&Router| {
            let known = self.carriers.get(*router);
            known.is_some_and(|known| known != node)
                && carrier_of(&router.0, router.1, &self.snapshot).as_ref() != known
        };
        report.claims().filter(rivalled).cloned().collect()
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
