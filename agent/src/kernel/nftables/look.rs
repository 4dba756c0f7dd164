//! What stands in our table: all of it, or what is asked for.

use super::message::{ANY_FAMILY, Attributes, INET, Kind, Message};
use super::plan::Known;
use super::ruleset::{self, Part, TABLE, comment, message};
use super::{FixtureError, Nftables, element, is_absent, is_missing, socket_failed};
use crate::state::Fixture;
use lvs_ipvs::Errno;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE};
use std::collections::BTreeSet;
use std::io;

impl Nftables {
    /// Reads the table.
    pub(super) fn look(&mut self) -> io::Result<Known> {
        let in_table = || Attributes::new().text(1, TABLE);
        let request = message(Kind::GetTable, in_table());
        match self.ask(|socket| socket.get(&request)) {
            Err(error) if is_missing(&error) => return Ok(Known::default()),
            answer => answer?,
        };
        let request = message(Kind::GetRule, in_table());
        let rules = self.ask(|socket| {
            socket.gather(&request, &mut |it| {
                let rule = it.attributes.view();
                if it.family != INET || rule.text(1) != Some(TABLE) {
                    return None;
                }
                let told = rule.bytes(7).and_then(comment).unwrap_or_default();
                Some((rule.text(2)?.to_owned(), told.to_owned()))
            })
        })?;
        // Most parts are not there: only the sets that are have to be listed.
        let request = message(Kind::GetSet, in_table());
        let there: BTreeSet<String> = self
            .ask(|socket| {
                socket.gather(&request, &mut |it| {
                    let set = it.attributes.view();
                    let ours = it.family == INET && set.text(1) == Some(TABLE);
                    ours.then(|| set.text(2).map(str::to_owned)).flatten()
                })
            })?
            .into_iter()
            .collect();
        let mut known = Known { table: true, ..Known::default() };
        for part in Part::ALL {
            let mut sets = 0;
            let mut fixtures = BTreeSet::new();
            for (key, set) in part.sets().filter(|(_, set)| there.contains(*set)) {
                let request = message(Kind::GetElement, element::of_set(set));
                let mut pick =
                    |it: Message| Some(element::fixtures(part, key, it.attributes.view()));
                match self.ask(|socket| socket.gather(&request, &mut pick)) {
                    Err(error) if is_missing(&error) => continue,
                    elements => fixtures.extend(elements?.into_iter().flatten()),
                }
                sets += 1;
            }
            let expected: Vec<_> = part.rules().collect();
            let ours = |chain: &str| expected.iter().any(|(it, _)| *it == chain);
            let found: Vec<_> = rules.iter().filter(|(chain, _)| ours(chain)).collect();
            let whole = sets == part.sets().count()
                && found.len() == expected.len()
                && expected
                    .iter()
                    .zip(&found)
                    .all(|(it, found)| (it.0, it.1) == (&found.0, &found.1));
            if !whole && (sets > 0 || !found.is_empty()) {
                known.broken.insert(part);
            }
            if whole || !fixtures.is_empty() {
                known.parts.insert(part, fixtures);
            }
        }
        Ok(known)
    }

    /// Which of these stand, by a request each. Whether the rules around them are whole, [`Nftables::standing`] tells.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn standing_of(
        &mut self,
        fixtures: &BTreeSet<Fixture>,
    ) -> Result<BTreeSet<Fixture>, FixtureError> {
        let mut standing = BTreeSet::new();
        for fixture in fixtures {
            let asked = (Part::of(fixture), ruleset::key(fixture));
            let (Some(part), Some(key)) = asked else { continue };
            let Some(request) = element::request(Kind::GetElement, fixture) else { continue };
            let found = match self.ask(|socket| socket.get(&request)) {
                Err(error) if is_missing(&error) || is_absent(&error) => continue,
                found => {
                    found.map_err(|error| socket_failed("read our table in nftables", error))?
                }
            };
            let found = found.map(|it| element::fixtures(part, key, it.attributes.view()));
            standing.extend(found.into_iter().flatten().filter(|it| it == fixture));
        }
        Ok(standing)
    }

    /// Whether the kernel has all that counters of arrivals and what is not tracked are made of. Rehearsed until it has: a
    /// module may come later. A director serves without it, and needs no more of nftables where nothing else is wanted.
    pub(crate) fn is_there(&mut self) -> bool {
        if !self.there {
            let frame =
                Message { kind: Kind::Begin, family: ANY_FAMILY, attributes: Attributes::new() };
            // By a name that nobody has, or a table that stands would be in the way.
            let parts = [Part::Untracked, Part::Arrivals].into_iter();
            let mut messages = vec![
                (frame, 0),
                (message(Kind::DelTable, Attributes::new().text(1, TABLE)), 0),
                (message(Kind::NewTable, Attributes::new().text(1, TABLE)), NLM_F_CREATE),
            ];
            messages.extend(parts.flat_map(Part::creation));
            if let Some((_, flags)) = messages.last_mut() {
                *flags |= NLM_F_ACK;
            }
            // Our table may not stand yet.
            let absent = |place: &usize, code: &i32| *place == 1 && *code == Errno::ENOENT.0;
            let answer = self.ask(|socket| socket.rehearse(messages));
            self.there =
                answer.is_ok_and(|errors| errors.iter().all(|(place, code)| absent(place, code)));
        }
        self.there
    }
}
