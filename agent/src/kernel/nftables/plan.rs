//! What to send for a change: one transaction, whatever it holds.

use super::element::request;
use super::message::{Attributes, Kind, Message};
use super::ruleset::{Part, TABLE, message};
use crate::kernel::Direction;
use crate::state::Fixture;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE};
use std::collections::{BTreeMap, BTreeSet};

/// The table as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Whether there is one.
    pub(super) table: bool,
    /// What is in the sets of each part that there is.
    pub(super) parts: BTreeMap<Part, BTreeSet<Fixture>>,
    /// Parts of which something is missing, or with something in them that is not ours: they may do nothing.
    pub(super) broken: BTreeSet<Part>,
}

/// What a message is for; its failure is the failure of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Table,
    Part(Part),
    /// The change of this place in the call.
    Change(usize),
}

/// A transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) messages: Vec<(Message, u16, Cause)>,
    /// The table after it.
    pub(super) after: Known,
}

/// A change and its place in the call.
pub(super) type Change = (usize, Direction, Fixture);

/// Plans what the changes need. The last word on a fixture counts; within the transaction, removals come first.
pub(super) fn plan(known: &Known, changes: &[Change]) -> Plan {
    let mut after = known.parts.clone();
    let mut causes = BTreeMap::new();
    for (place, direction, fixture) in changes {
        let Some(part) = Part::of(fixture) else { continue };
        causes.insert(fixture, *place);
        let fixtures = after.entry(part).or_default();
        match direction {
            Direction::Add => fixtures.insert(*fixture),
            Direction::Remove => fixtures.remove(fixture),
        };
    }
    after.retain(|_, fixtures| !fixtures.is_empty());
    // A table with a broken part is made anew as a whole, in one transaction: no packet meets the gap.
    let nothing = BTreeMap::new();
    let before = if known.broken.is_empty() { &known.parts } else { &nothing };
    let mut plan = Plan::default();
    let table = |kind| message(kind, Attributes::new().text(1, TABLE));
    if known.table && (after.is_empty() || !known.broken.is_empty()) {
        plan.messages.push((table(Kind::DelTable), 0, Cause::Table));
    } else {
        plan.remove(before, &after, &causes);
    }
    let standing = known.table && known.broken.is_empty();
    if !standing && !after.is_empty() {
        plan.messages.push((table(Kind::NewTable), NLM_F_CREATE, Cause::Table));
    }
    plan.add(before, &after, &causes);
    if let Some((_, flags, _)) = plan.messages.last_mut() {
        *flags |= NLM_F_ACK;
    }
    plan.after = Known { table: !after.is_empty(), parts: after, broken: BTreeSet::new() };
    plan
}

type Parts = BTreeMap<Part, BTreeSet<Fixture>>;

impl Plan {
    fn remove(&mut self, before: &Parts, after: &Parts, causes: &BTreeMap<&Fixture, usize>) {
        for (part, standing) in before {
            let Some(staying) = after.get(part) else {
                let removal = part.removal().into_iter();
                self.messages.extend(removal.map(|(it, flags)| (it, flags, Cause::Part(*part))));
                continue;
            };
            for (fixture, place) in causes {
                if standing.contains(fixture) && !staying.contains(fixture) {
                    let removal = request(Kind::DelElement, fixture);
                    self.messages.extend(removal.map(|it| (it, 0, Cause::Change(*place))));
                }
            }
        }
    }

    fn add(&mut self, before: &Parts, after: &Parts, causes: &BTreeMap<&Fixture, usize>) {
        for (part, wanted) in after {
            if let Some(standing) = before.get(part) {
                for (fixture, place) in causes {
                    if wanted.contains(fixture) && !standing.contains(fixture) {
                        self.add_element(fixture, Cause::Change(*place));
                    }
                }
                continue;
            }
            let creation = part.creation().into_iter();
            self.messages.extend(creation.map(|(it, flags)| (it, flags, Cause::Part(*part))));
            for fixture in wanted {
                let cause = causes.get(fixture).map_or(Cause::Part(*part), |it| Cause::Change(*it));
                self.add_element(fixture, cause);
            }
        }
    }

    fn add_element(&mut self, fixture: &Fixture, cause: Cause) {
        let addition = request(Kind::NewElement, fixture);
        self.messages.extend(addition.map(|it| (it, NLM_F_CREATE, cause)));
    }
}
