//! Floating addresses: what this node may carry, as far as it can serve it, and what it does carry.

use super::Engine;
use crate::director::{Part, part};
use crate::failover::{Carrier, Report, Want, WantedRouter, Wants};
use crate::journal::Entry;
use crate::kernel::{Kernel, KernelError};
use crate::plan::{Fragment, Touched};
use crate::run::faults;
use crate::run::withhold::Withhold;
use crate::run::wording::thing;
use crate::state::{Floats, HeldAddress, Made, NodeState, Op};
use lvs_crds::{DirectorGroup, FailoverProfile, VrrpTransport};
use lvs_resolve::spread::Spread;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between advertisements: three that are missing, and the heir's skew, stay below 300 ms.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(90);
/// As above, below 100 ms.
const FAST_INTERVAL: Duration = Duration::from_millis(30);
/// Long enough for connections that are in use to be synced once more.
const PREEMPT_DELAY: Duration = Duration::from_secs(15);

/// What has been told to whoever carries addresses, and what was heard of it.
pub(in crate::run) struct Floating {
    carrier: Box<dyn Carrier>,
    told: Wants,
    pub(in crate::run) report: Report,
    /// The groups that this node is a director of no longer, and the number with which that was told.
    leaving: BTreeMap<String, u64>,
    /// Addresses that stood here for good and float from now on, which is not told yet.
    turned: BTreeSet<HeldAddress>,
    due: bool,
}

impl Floating {
    pub(in crate::run) fn new(carrier: Box<dyn Carrier>) -> Self {
        let (told, report) = (Wants::default(), Report::default());
        let (leaving, turned) = (BTreeMap::new(), BTreeSet::new());
        Self { carrier, told, report, leaving, turned, due: false }
    }

    /// What is told may have to be another.
    pub(in crate::run) fn is_due(&mut self) {
        self.due = true;
    }

    /// What stood here for good floats by this fragment. Whoever carries it has not made it, and must know whose it is.
    pub(in crate::run) fn turn(&mut self, fragment: &Fragment, before: &NodeState) {
        let turned = fragment.floating.keys().filter(|held| before.addresses.contains(*held));
        self.turned.extend(turned.cloned());
    }

    /// These have come to stay.
    pub(in crate::run) fn settled(&mut self, addresses: Vec<HeldAddress>) {
        if !addresses.is_empty() {
            self.carrier.announce(addresses);
        }
    }

    fn tell(&mut self, groups: BTreeMap<String, Want>, staying: BTreeSet<HeldAddress>) {
        if groups == self.told.groups && staying == self.told.staying {
            return;
        }
        self.told = Wants { number: self.told.number + 1, groups, staying };
        self.carrier.want(self.told.clone());
    }
}

impl<K: Kernel> Engine<K> {
    /// Takes in what became of floating addresses; returns whether that is news.
    pub(in crate::run) fn carried(&mut self) -> bool {
        let report = self.floating.carrier.report();
        if report == self.floating.report {
            return false;
        }
        let let_go = self.floating.report.held.difference(&report.held).next().is_some();
        self.floating.report = report;
        if let_go {
            // What stood in the way of an address that is to stay here: IPv6 has one prefix length each.
            let faults = self.faults.iter().map(|(made, _)| made.clone());
            let addresses: Vec<Made> =
                faults.filter(|made| matches!(made, Made::Address(_))).collect();
            for made in addresses {
                faults::touch(&mut self.touched, made);
            }
        }
        true
    }

    /// Whoever is no director any more stays one until the others carry what it had.
    pub(in crate::run) fn note_leaving(&mut self) {
        let node = &self.facts.node;
        let is_out = |name: &String| {
            self.world.groups().get(name).is_some_and(|group| part(group, node).is_none())
        };
        let Floating { told, report, leaving, .. } = &mut self.floating;
        for name in told.groups.keys().filter(|name| is_out(name)) {
            leaving.insert(name.clone(), told.number + 1);
        }
        leaving.retain(|name, since| {
            let carries = || report.routers.keys().any(|(group, _)| group == name);
            is_out(name) && (report.number < *since || carries())
        });
        let leaving = leaving.keys().cloned().collect();
        self.world.leave(leaving, &mut self.dirty);
    }

    /// What is not wanted any more is let go of before it is taken away.
    pub(in crate::run) fn let_go(&mut self) {
        if !self.floating.due || self.floating.told.groups.is_empty() {
            return;
        }
        let mut groups = self.wants();
        groups.retain(|name, want| match self.floating.told.groups.get(name) {
            None => false,
            Some(told) => {
                // In whichever router: what moves to another one is not let go of.
                let told = told.routers.values().flat_map(|router| &router.addresses);
                let told: BTreeSet<&HeldAddress> = told.collect();
                for router in want.routers.values_mut() {
                    router.addresses.retain(|held| told.contains(held));
                }
                true
            }
        });
        let staying = self.fragments.union().addresses.clone();
        self.floating.tell(groups, staying);
    }

    /// Tells what this node may carry, now that what it needs stands.
    pub(in crate::run) fn carry(&mut self) {
        if !self.floating.due || !self.ready() {
            return;
        }
        self.floating.due = false;
        let groups = self.wants();
        // Of a director that is alone too: what it has now is its own when others come.
        let turned = self.turned();
        let carried: BTreeSet<&HeldAddress> = groups
            .values()
            .flat_map(|want| want.routers.values())
            .flat_map(|it| &it.addresses)
            .collect();
        let (turned, stranded): (BTreeSet<_>, BTreeSet<_>) =
            turned.into_iter().partition(|held| carried.contains(held));
        if !turned.is_empty() {
            let before = self.floating.told.clone();
            self.floating.tell(before.groups, &before.staying | &turned);
        }
        let staying = self.fragments.union().addresses.clone();
        self.floating.tell(groups, staying);
        self.take_away(stranded);
    }

    /// What this agent has put on an interface for good and floats now: it has just turned, or stood at the agent's start.
    fn turned(&mut self) -> BTreeSet<HeldAddress> {
        let mut turned = std::mem::take(&mut self.floating.turned);
        let (union, ours) = (self.fragments.union(), self.journal.ours());
        if self.floating.told.number == 0 {
            turned.extend(union.floating.keys().cloned());
        }
        let stands = |held: &HeldAddress| self.mirror.addresses.contains(held);
        turned.retain(|held| {
            union.floating.contains_key(held)
                && stands(held)
                && ours.contains(&Made::Address(held.clone()))
        });
        turned
    }

    /// What stands for good and cannot be carried here, as without its service, must not stand beside another director's.
    fn take_away(&mut self, stranded: BTreeSet<HeldAddress>) {
        let ops: Vec<Op> = stranded.into_iter().map(Op::DelAddress).collect();
        if ops.is_empty() {
            return;
        }
        let mut faults = BTreeMap::new();
        self.execute(&ops, &mut faults);
        self.read_back(&ops, &mut faults);
        // As before: it may be carried as soon as that can be.
        let mut touched = Touched::default();
        touched.addresses.extend(ops.into_iter().filter_map(|op| match op {
            Op::DelAddress(held) => Some(held),
            _ => None,
        }));
        self.record_floating(&touched, &mut faults);
        for (made, (reason, message)) in faults {
            tracing::error!(object = thing(&made), reason, "{message}");
            // Tried again with the next change of what floats.
            if let Made::Address(held) = made {
                self.floating.turned.insert(held);
            }
        }
    }

    /// Addresses that floated: they may stand, whatever was last read.
    pub(in crate::run) fn were_floating(&self, touched: &Touched) -> Vec<HeldAddress> {
        let union = self.fragments.union();
        let was = |held: &&HeldAddress| {
            !union.addresses.contains(held)
                && !union.floating.contains_key(*held)
                && self.journal.ours().contains(&Made::Address((*held).clone()))
        };
        touched.addresses.iter().filter(was).cloned().collect()
    }

    /// What is to move and somebody else has put on an interface: it serves, and does not move.
    pub(in crate::run) fn foreign_vips(&self) -> BTreeSet<HeldAddress> {
        let (floating, ours) = (&self.fragments.union().floating, self.journal.ours());
        let standing = self.mirror.addresses.iter().filter(|held| floating.contains_key(*held));
        let others = standing.filter(|held| !ours.contains(&Made::Address((*held).clone())));
        others.chain(&self.floating.report.foreign).cloned().collect()
    }

    /// The journal names an address before anybody may put it on an interface.
    pub(in crate::run) fn record_floating(
        &mut self,
        touched: &Touched,
        faults: &mut BTreeMap<Made, (String, String)>,
    ) {
        let union = self.fragments.union();
        let is_new = |held: &&HeldAddress| {
            union.floating.contains_key(*held) && !self.mirror.addresses.contains(*held)
        };
        let new: Vec<HeldAddress> = touched.addresses.iter().filter(is_new).cloned().collect();
        let entries: Vec<Entry> = new.iter().cloned().map(Entry::Address).collect();
        if new.iter().any(|held| !self.journal.ours().contains(&Made::Address(held.clone()))) {
            self.floating.is_due();
        }
        if let Err(error) = self.journal.record(&entries) {
            let error = KernelError::from(&error);
            for held in new {
                let fault = (error.reason().to_owned(), error.to_string());
                faults.insert(Made::Address(held), fault);
            }
        }
    }

    fn wants(&self) -> BTreeMap<String, Want> {
        let node = &self.facts.node;
        let (mut wants, mut spreads) = (BTreeMap::new(), BTreeMap::new());
        for (name, group) in self.world.groups() {
            if part(group, node) == Some(Part::OneOfSeveral)
                && let Some(spread) = Spread::new(group)
                && let Some(want) = empty(group, &spread, node)
            {
                wants.insert(name.clone(), want);
                spreads.insert(name.as_str(), spread);
            }
        }
        if wants.is_empty() {
            return wants;
        }
        let ill = self.ill();
        let failed = self.faults.iter().map(|(made, _)| made);
        let withhold = Withhold::new(failed, self.fragments.union());
        let router_of = |floats: &Floats| {
            let router = spreads.get(floats.group.as_str())?.router_of(floats.with)?;
            u8::try_from(router.id).ok()
        };
        for (held, floats) in &self.fragments.union().floating {
            let Some(wanted) = wanted(&mut wants, floats, router_of) else { continue };
            if let Some(why) = ill.get(held) {
                wanted.ill.get_or_insert_with(|| why.clone());
            }
            let ours = self.journal.ours().contains(&Made::Address(held.clone()));
            if ours && withhold.reason(&Op::AddAddress(held.clone())).is_none() {
                wanted.addresses.insert(held.clone());
            }
        }
        for (floats, why) in self.fragments.unplaced() {
            if let Some(wanted) = wanted(&mut wants, floats, router_of) {
                wanted.ill.get_or_insert_with(|| why.clone());
            }
        }
        wants
    }

    /// What this node cannot do of floating addresses, by these.
    fn ill(&self) -> BTreeMap<HeldAddress, String> {
        let faults = self.faults.iter().filter(|(made, fault)| self.lacking(made, fault).is_none());
        let failed = faults.flat_map(|(made, fault)| {
            let owners = self.fragments.owners(made).into_iter();
            owners.map(move |owner| (owner, &fault.message))
        });
        let planned = self.fragments.problems().map(|(owner, problem)| (owner, &problem.message));
        let mut ill = BTreeMap::new();
        for (owner, message) in failed.chain(planned) {
            for held in self.fragments.floating(owner) {
                ill.entry(held.clone()).or_insert_with(|| message.clone());
            }
        }
        ill
    }
}

/// The virtual router that something floats with.
fn wanted<'a>(
    wants: &'a mut BTreeMap<String, Want>,
    floats: &Floats,
    router_of: impl Fn(&Floats) -> Option<u8>,
) -> Option<&'a mut WantedRouter> {
    wants.get_mut(&floats.group)?.routers.get_mut(&router_of(floats)?)
}

/// What a group wants before anything floats in it; `None` while it has no virtual routers.
fn empty(group: &DirectorGroup, spread: &Spread<'_>, node: &str) -> Option<Want> {
    let status = group.status.as_ref()?;
    let failover = group.spec.failover.clone().unwrap_or_default();
    let interval = match (failover.advertisement_interval_milliseconds, failover.profile) {
        (Some(millis), _) => Duration::from_millis(u64::try_from(millis).ok()?),
        (None, FailoverProfile::Default) => DEFAULT_INTERVAL,
        (None, FailoverProfile::Fast) => FAST_INTERVAL,
    };
    let delay = failover.preempt_delay_seconds.and_then(|it| u64::try_from(it).ok());
    let delay = delay.map_or(PREEMPT_DELAY, Duration::from_secs);
    let routers = spread.routers().iter().filter_map(|router| {
        let order = spread.order(router).into_iter().map(str::to_owned).collect();
        let name = format!("{}/{}", router.home, router.number);
        let wanted = WantedRouter { name, order, ..WantedRouter::default() };
        Some((u8::try_from(router.id).ok()?, wanted))
    });
    Some(Want {
        own: node.to_owned(),
        members: status.members.clone(),
        interval,
        preempt: failover.preempt.unwrap_or(true).then_some(delay),
        multicast: failover.transport == VrrpTransport::Multicast,
        interface: failover.interface,
        presence: u8::try_from(status.presence_id?).ok()?,
        routers: routers.collect(),
    })
}
