//! Who has the VIPs, as a client's ARP table knows it.

use super::Way;
use lvs_resolve::Question;
use lvs_vrrp::{Mac, neighbor};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long an answer is believed: a new client has to ask, so it must not be long.
const BELIEVED: Duration = Duration::from_secs(3);
/// Between two requests.
const AGAIN: Duration = Duration::from_millis(600);
/// So many without an answer, and nobody has it: as the kernel's `mcast_solicit`.
const TRIES: u8 = 3;

/// What is known of a VIP on an interface.
#[derive(Debug, Default)]
struct Entry {
    mac: Option<Mac>,
    heard: Duration,
    /// Requests sent, and when the next one is due.
    asked: Option<(u8, Duration)>,
    way: Option<Way>,
    waiting: BTreeSet<Question>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Neighbors {
    entries: BTreeMap<(u32, IpAddr), Entry>,
    deadlines: BTreeSet<(Duration, (u32, IpAddr))>,
}

impl Neighbors {
    /// Whoever has it, as far as it is known now. If it is not, `question` waits for it; a request may have to be sent.
    pub(super) fn find(
        &mut self,
        question: Question,
        way: &Way,
        now: Duration,
        out: &mut Vec<(u32, Vec<u8>)>,
    ) -> Option<Mac> {
        let key = (way.interface, question.address);
        let entry = self.entries.entry(key).or_default();
        entry.way = Some(*way);
        let fresh = entry.mac.is_some() && entry.heard + BELIEVED > now;
        if !fresh && entry.asked.is_none() {
            entry.asked = Some((1, now + AGAIN));
            self.deadlines.insert((now + AGAIN, key));
            send(question.address, way, out);
        }
        if entry.mac.is_none() {
            entry.waiting.insert(question);
        }
        entry.mac
    }

    /// Somebody says that he has it. Whoever waited for that is returned.
    pub(super) fn hear(
        &mut self,
        interface: u32,
        address: IpAddr,
        mac: Mac,
        now: Duration,
    ) -> BTreeSet<Question> {
        let key = (interface, address);
        let Some(entry) = self.entries.get_mut(&key) else { return BTreeSet::new() };
        if let Some((_, due)) = entry.asked.take() {
            self.deadlines.remove(&(due, key));
        }
        (entry.mac, entry.heard) = (Some(mac), now);
        std::mem::take(&mut entry.waiting)
    }

    /// Who has it, as last heard.
    pub(super) fn known(&self, way: &Way, address: IpAddr) -> Option<Mac> {
        self.entries.get(&(way.interface, address))?.mac
    }

    /// What was known is asked for again at the next occasion.
    pub(super) fn doubt(&mut self, way: &Way, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&(way.interface, address)) {
            entry.heard = Duration::ZERO;
        }
    }

    /// Nothing is asked for at this VIP any more.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.entries.retain(|(_, vip), _| *vip != address);
        self.deadlines.retain(|(_, (_, vip))| *vip != address);
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Asks again what is due. Whoever waited for one that nobody has is returned, and the VIPs that somebody had and nobody has
    /// now.
    pub(super) fn tick(
        &mut self,
        now: Duration,
        out: &mut Vec<(u32, Vec<u8>)>,
    ) -> (BTreeSet<Question>, Vec<IpAddr>) {
        let (mut missed, mut lost) = (BTreeSet::new(), Vec::new());
        while let Some((due, key)) = self.deadlines.first().copied().filter(|(due, _)| *due <= now)
        {
            self.deadlines.remove(&(due, key));
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match (entry.asked, entry.way) {
                (Some((tries, _)), Some(way)) if tries < TRIES => {
                    entry.asked = Some((tries + 1, now + AGAIN));
                    self.deadlines.insert((now + AGAIN, key));
                    send(key.1, &way, out);
                }
                _ => {
                    entry.asked = None;
                    lost.extend(entry.mac.take().map(|_| key.1));
                    missed.append(&mut entry.waiting);
                }
            }
        }
        (missed, lost)
    }
}

fn send(address: IpAddr, way: &Way, out: &mut Vec<(u32, Vec<u8>)>) {
    out.extend(neighbor::request(address, way.source, way.mac).map(|frame| (way.interface, frame)));
}
