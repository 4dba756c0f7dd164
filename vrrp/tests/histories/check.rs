//! What must hold after every step.

use crate::director::{Director, LIFETIME, mac, vip};
use crate::link::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From which time on something that was settled must stay so.
pub struct Planned {
    /// Who goes; nobody where ids change.
    pub who: Option<usize>,
    /// When it was told.
    pub since: Duration,
    /// It hands over, so that nothing may be on nobody, and nothing may take long.
    pub handed_over: bool,
    /// Who held what.
    pub before: BTreeMap<u8, usize>,
    /// The link's `disturbed` right after.
    pub disturbed: Duration,
}

#[derive(Default)]
pub struct Check {
    overlaps: BTreeMap<(usize, u8), Duration>,
    /// By director and address: when somebody last answered for the address who is none of the group's as far as it knows.
    strange: BTreeMap<(usize, u8), Duration>,
    pub planned: Option<Planned>,
}

/// A member whose agent runs, knows how things are, and may hold something.
fn serves(link: &Link, director: &Director) -> bool {
    director.works()
        && director.up
        && director.blocked <= link.now
        && director.stopping.is_none()
        && director.view.version == link.truth.version
        && link.truth.members.contains(&director.number)
}

impl Check {
    fn serving(link: &Link, part: usize) -> impl Iterator<Item = &Director> {
        let here = move |director: &&Director| link.parts[director.number] == part;
        link.directors.iter().filter(here).filter(|director| serves(link, director))
    }

    /// How long it is that nothing has happened.
    pub fn quiet(link: &Link) -> Duration {
        let views = link.directors.iter().filter(|director| director.works());
        let same = views.clone().all(|director| director.view.version == link.truth.version);
        let slow = link.now.saturating_sub(link.told) < Duration::from_secs(6);
        let stopping = link.directors.iter().any(|director| director.stopping.is_some());
        match !same || slow || stopping {
            true => Duration::ZERO,
            false => link.now.saturating_sub(link.disturbed),
        }
    }

    /// Who holds what, where it is exactly one in each part, and the right one.
    pub fn settled(link: &Link) -> Option<BTreeMap<u8, usize>> {
        if Self::quiet(link) < Duration::from_secs(6) || link.parts.iter().any(|part| *part != 0) {
            return None;
        }
        let holder = |number: &u8| {
            let mut of = Self::serving(link, 0).filter(|director| director.holds(&vip(*number)));
            Some((*number, of.next()?.number))
        };
        link.truth.vips.iter().map(holder).collect()
    }

    pub fn all(&mut self, link: &mut Link) -> Result<(), String> {
        link.wrong.take().map_or(Ok(()), Err)?;
        self.overlap(link)?;
        Self::leftover(link)?;
        self.planned(link)?;
        self.strangers(link);
        self.quiet_link(link)
    }

    /// Whose kernel answers for an address and whose machine is no member's, as far as one of those that serve can know: it was
    /// removed, or its MAC address was never heard of.
    fn strangers(&mut self, link: &Link) {
        for one in link.directors.iter().filter(|one| serves(link, one)) {
            let stranger = |other: &&Director| {
                let pair = (one.number, other.number);
                let known = link.rules.macs_known || link.acquainted.contains(&pair);
                let member = known && link.truth.members.contains(&other.number);
                !member && link.reach(pair.0, pair.1) && pair.0 != pair.1
            };
            for stranger in link.directors.iter().filter(stranger) {
                for number in link.truth.vips.iter().filter(|number| stranger.holds(&vip(**number)))
                {
                    self.strange.insert((one.number, *number), link.now);
                }
            }
        }
    }

    fn overlap(&mut self, link: &Link) -> Result<(), String> {
        let bound = 2 * link.rules.interval + 3 * link.slowest + Duration::from_millis(20);
        let parts: BTreeSet<_> = link.parts.iter().copied().collect();
        for part in parts {
            for number in &link.truth.vips {
                let held = vip(*number);
                let holders = Self::serving(link, part).filter(|director| director.holds(&held));
                let holders: Vec<_> = holders.map(|director| director.number).collect();
                if holders.len() < 2 {
                    self.overlaps.remove(&(part, *number));
                    continue;
                }
                let since = *self.overlaps.entry((part, *number)).or_insert(link.now);
                // Two that start with what they had for ever both keep it until one has listened for long enough.
                let listened = link.kept + 2 * link.rules.interval;
                let since = since.max(link.disturbed).max(link.told).max(listened);
                if link.now > since + bound && link.now > link.told + Duration::from_secs(30) {
                    return Err(format!("{held:?} is on {holders:?} since {since:?}"));
                }
                // While views differed for long, members settle by address, and settle again.
                if link.now > since + bound && Self::quiet(link) > bound {
                    return Err(format!("{held:?} is on {holders:?} since {since:?}"));
                }
            }
        }
        Ok(())
    }

    /// Agents that do not run hold nothing for long; those that do hold only what they were told of.
    fn leftover(link: &Link) -> Result<(), String> {
        for director in &link.directors {
            if let Some(died) = director.died
                && link.now > died + LIFETIME + Duration::from_millis(50)
                && !director.kernel.is_empty()
            {
                return Err(format!("node{} is gone and holds addresses", director.number));
            }
            if !director.works() || director.stopping.is_some() {
                continue;
            }
            let ours: BTreeSet<_> = director.view.vips.iter().map(|number| vip(*number)).collect();
            if let Some(held) = director.kernel.keys().find(|held| !ours.contains(held)) {
                return Err(format!("node{} holds {held:?}, which nobody wants", director.number));
            }
        }
        Ok(())
    }

    /// What one director's going may do to what is held.
    fn planned(&mut self, link: &Link) -> Result<(), String> {
        let Some(planned) = &self.planned else { return Ok(()) };
        // Of new ids all are told, and that is no disturbance.
        if planned.disturbed != link.disturbed && planned.who.is_some() {
            self.planned = None;
            return Ok(());
        }
        for (number, holder) in &planned.before {
            let held = vip(*number);
            if Some(*holder) != planned.who && !link.directors[*holder].holds(&held) {
                return Err(format!("{held:?} left node{holder}, which is there"));
            }
            if planned.handed_over && !link.directors.iter().any(|director| director.holds(&held)) {
                return Err(format!("{held:?} is nowhere during a hand-over"));
            }
        }
        let bound = link.rules.interval + 4 * link.slowest + Duration::from_millis(40);
        let late = planned.handed_over && link.now > planned.since + bound;
        if let Some(who) = planned.who.filter(|_| late)
            && link.directors[who].group.is_some()
        {
            return Err(format!("node{who} hands over for too long"));
        }
        Ok(())
    }

    fn quiet_link(&self, link: &mut Link) -> Result<(), String> {
        let quiet = Self::quiet(link);
        if quiet < Duration::from_millis(2500) {
            return Ok(());
        }
        let parts: BTreeSet<_> = link.parts.iter().copied().collect();
        for part in parts {
            let serving: BTreeSet<_> = Self::serving(link, part).map(|one| one.number).collect();
            if serving.is_empty() {
                continue;
            }
            for number in link.truth.vips.clone() {
                let held = vip(number);
                let holds = |one: &usize| link.directors[*one].holds(&held);
                let holders: BTreeSet<_> = serving.iter().copied().filter(holds).collect();
                let Some(holder) = holders.first().copied() else {
                    // What a stranger answers for is left alone, and asked for again each 10 s at most.
                    let strange = |one: &usize| {
                        let last = self.strange.get(&(*one, number));
                        last.is_some_and(|last| link.now < *last + Duration::from_millis(10_500))
                    };
                    if serving.iter().any(strange) {
                        continue;
                    }
                    return Err(format!("{held:?} is on none of {serving:?}"));
                };
                let heirs = link.truth.heirs(number);
                let rank = |one: &usize| {
                    (link.directors[*one].ill, heirs.iter().position(|heir| heir == one))
                };
                let best = serving.iter().min_by_key(|one| rank(one)).copied();
                let waits = link.rules.preempt.map(|wait| wait + Duration::from_secs(3));
                if waits.is_some_and(|waits| quiet > waits) && best != Some(holder) {
                    return Err(format!("{held:?} is on node{holder}, not on node{best:?}"));
                }
                let well = best.is_some_and(|best| !link.directors[best].ill);
                if well && link.directors[holder].ill {
                    return Err(format!("{held:?} is on node{holder}, which is ill"));
                }
                // One who was not told for long that it has left defends what it holds every 10 s, and so do we. One whose
                // agent died when it was alone holds what it held for ever: probes find it.
                let leftover = link.directors.iter().any(|one| !one.works() && one.holds(&held));
                let waits = Duration::from_secs(if leftover { 17 } else { 0 });
                // Who is gone is missed after a lifetime.
                let swapped = link.now < link.swapped + LIFETIME + Duration::from_millis(500);
                let told = link.now.saturating_sub(link.told) > Duration::from_secs(17);
                if part == 0 && told && quiet > waits && !swapped {
                    link.resolve(&held, &holders);
                    if link.cache.get(&held.address.addr()) != Some(&mac(holder)) {
                        return Err(format!("the client does not know that {held:?} has moved"));
                    }
                }
            }
        }
        if quiet > LIFETIME + Duration::from_millis(1500) {
            Self::lifetimes(link)?;
        }
        Ok(())
    }

    /// For ever with nobody else there, for a while otherwise.
    fn lifetimes(link: &Link) -> Result<(), String> {
        for director in link.directors.iter().filter(|director| serves(link, director)) {
            let other = |other: &&Director| {
                other.number != director.number
                    && serves(link, other)
                    && link.reach(other.number, director.number)
            };
            let alone = link.directors.iter().find(other).is_none();
            if let Some((held, _)) = director.kernel.iter().find(|(_, end)| end.is_none() != alone)
            {
                let number = director.number;
                return Err(format!(
                    "node{number} (alone: {alone}) has the wrong lifetime for {held:?}"
                ));
            }
        }
        Ok(())
    }
}
