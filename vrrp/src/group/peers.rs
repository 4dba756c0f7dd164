//! Who else is there: presence, liveness, and what follows for the lifetimes of what is held.

use super::{Action, Entry, Group, Held, LAST_WORD, Stranger, Timer};
use crate::neighbor::Mac;
use crate::packet::{Advertisement, Vrid, advertised};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Between two advertisements of presence.
const PRESENCE: u16 = 100;
/// That of presence; no election has it.
const PRESENCE_PRIORITY: u8 = 255;
/// How long a stranger is remembered.
const STRANGER: Duration = Duration::from_secs(60);
/// How long it may take that one who is no member any more hears of it itself: an API server that is away may make it longer.
const LEFT: Duration = Duration::from_secs(60);
/// How long after a peer is heard anew what is carried here is announced: when elections are over in which it has a part.
const MET: Duration = Duration::from_secs(1);
/// How many MAC addresses are learned of a peer.
const LEARNED: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct PeerState {
    pub(super) name: String,
    pub(super) macs: BTreeSet<Mac>,
    learned: VecDeque<Mac>,
    /// When it was last heard; `None`: not within its lifetime.
    pub(super) heard: Option<Duration>,
    /// What it says that it carries, by virtual router.
    said: BTreeMap<Vrid, Said>,
}

/// What a peer's advertisements of one virtual router tell of.
#[derive(Clone, Debug)]
struct Said {
    addresses: Vec<IpAddr>,
    /// When it last said so.
    at: Duration,
}

impl PeerState {
    pub(super) fn new(name: String, macs: BTreeSet<Mac>) -> Self {
        Self { name, macs, learned: VecDeque::new(), heard: None, said: BTreeMap::new() }
    }

    /// Whether that is new.
    pub(super) fn learn(&mut self, mac: Mac) -> bool {
        if self.has(mac) {
            return false;
        }
        self.learned.truncate(LEARNED - 1);
        self.learned.push_front(mac);
        true
    }

    pub(super) fn has(&self, mac: Mac) -> bool {
        self.macs.contains(&mac) || self.learned.contains(&mac)
    }

    /// It carries a virtual router.
    fn says(&mut self, heard: &Advertisement, now: Duration) {
        let new = || Said { addresses: heard.addresses.clone(), at: now };
        let said = self.said.entry(heard.vrid).or_insert_with(new);
        said.at = now;
        if said.addresses != heard.addresses {
            said.addresses.clone_from(&heard.addresses);
        }
    }

    /// Whether it has said since then that it carries this address. Where advertisements do not tell of it, since they are of
    /// the other IP version or there are too many, it is enough that it carries anything.
    pub(super) fn has_said(&self, address: IpAddr, is_told: bool, since: Duration) -> bool {
        let lately = self.said.values().filter(|said| said.at >= since);
        lately.into_iter().any(|said| !is_told || said.addresses.contains(&address))
    }
}

impl Group {
    pub(super) fn packet(
        &mut self,
        from: IpAddr,
        to: IpAddr,
        ttl: u8,
        bytes: &[u8],
        actions: &mut Vec<Action>,
    ) {
        // Our own multicast comes back.
        if from == self.config.own {
            return;
        }
        let decoded = Advertisement::decode(bytes, from, to, ttl);
        if self.left_lately(from) {
            self.report.counters.unknown += 1;
            if let Ok(heard) = decoded
                && heard.priority <= LAST_WORD
            {
                self.announce_told(&heard, None, actions);
            }
            return;
        }
        if !self.peers.contains_key(&from) {
            self.report.counters.forged += 1;
            if let Ok(heard) = decoded {
                let stranger = Stranger { address: from, heard: self.now };
                self.report.strangers.insert(heard.vrid, stranger);
                self.report.generation += 1;
            }
            return;
        }
        let heard = match decoded {
            Ok(heard) => heard,
            Err(error) => {
                *self.report.counters.malformed.entry(error.reason()).or_default() += 1;
                return;
            }
        };
        self.report.counters.received += 1;
        if heard.vrid == self.config.presence && heard.priority == 0 {
            // The last word of one that stops.
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.heard = None;
            }
            self.recount(actions);
            return;
        }
        self.alive(from, actions);
        self.hears();
        if heard.vrid != self.config.presence {
            let now = self.now;
            if let Some(peer) = self.peers.get_mut(&from).filter(|_| heard.priority > LAST_WORD) {
                peer.says(&heard, now);
            }
            self.hear(from, &heard, actions);
        }
    }

    /// Whether it is no member any more, as we were told a moment ago. It lets go of what it has when it is told itself.
    fn left_lately(&self, from: IpAddr) -> bool {
        self.left.get(&from).is_some_and(|until| self.now < *until)
    }

    /// These are members no more.
    pub(super) fn remember(&mut self, gone: impl Iterator<Item = IpAddr>) {
        let (now, until) = (self.now, self.now + LEFT);
        self.left.extend(gone.map(|address| (address, until)));
        self.left.retain(|address, until| now < *until && !self.peers.contains_key(address));
    }

    fn alive(&mut self, from: IpAddr, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.heard.replace(self.now).is_none() {
            self.recount(actions);
            // It may not know of us yet.
            self.tell_presence(actions);
            let due = self.timers.at(&Timer::Met).unwrap_or(self.now + MET);
            self.timers.set(Timer::Met, due);
        }
    }

    pub(super) fn any_live(&self) -> bool {
        !self.report.live.is_empty()
    }

    /// After somebody came or went.
    pub(super) fn recount(&mut self, actions: &mut Vec<Action>) {
        let had = self.any_live();
        let now = self.now;
        let live = self.peers.values().filter(|peer| peer.heard.is_some());
        let live = live.map(|peer| {
            let since = self.report.live.get(&peer.name).copied().unwrap_or(now);
            (peer.name.clone(), since)
        });
        let live: BTreeMap<_, _> = live.collect();
        if live != self.report.live {
            self.report.live = live;
            self.report.generation += 1;
        }
        let first = self.peers.values().filter_map(|peer| peer.heard).min();
        match first {
            Some(first) => self.timers.set(Timer::Peers, first + self.config.lifetime),
            None => self.timers.clear(Timer::Peers),
        }
        if had != self.any_live() {
            self.renew(actions);
        }
    }

    pub(super) fn peers_due(&mut self, actions: &mut Vec<Action>) {
        let (now, lifetime) = (self.now, self.config.lifetime);
        let since = self.said_since();
        let mut lost = false;
        for peer in self.peers.values_mut() {
            let was = peer.heard.is_some();
            peer.heard = peer.heard.filter(|heard| *heard + lifetime > now);
            lost |= was && peer.heard.is_none();
            peer.said.retain(|_, said| said.at >= since);
        }
        self.recount(actions);
        if lost {
            self.announce_here(actions);
        }
    }

    /// Whom we hear is not whom we heard, and nobody told us why: the link may have been put together in another way, with hosts
    /// on our side of it that believe somebody on another; or one that claimed something beside us is dead. No election finds
    /// that. What is carried here is announced once, unless that goes on anyway.
    pub(super) fn announce_here(&mut self, actions: &mut Vec<Action>) {
        let batches = self.batches.values().flat_map(|batch| &batch.addresses);
        let announced: BTreeSet<&Held> = batches.collect();
        let carried = |held: &Held| {
            let claim = self.claims.get(held);
            claim.and_then(|claim| self.routers.get(&claim.vrid)).is_some_and(Entry::is_active)
        };
        let here = |held: &&Held| carried(held) && !announced.contains(held);
        let here: Vec<_> = self.held.iter().filter(here).cloned().collect();
        if !here.is_empty() {
            actions.push(Action::Announce(here));
        }
    }

    /// Of whom said later that he carries something the kernel may answer for it still.
    pub(super) fn said_since(&self) -> Duration {
        self.now.saturating_sub(self.config.lifetime + Duration::from_secs(1))
    }

    /// How long what is held now may stay without us.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.any_live().then_some(self.config.lifetime)
    }

    pub(super) fn renew(&mut self, actions: &mut Vec<Action>) {
        let lifetime = self.lifetime();
        match lifetime {
            Some(lifetime) => self.timers.set(Timer::Renew, self.now + lifetime / 3),
            None => self.timers.clear(Timer::Renew),
        }
        if !self.held.is_empty() {
            let addresses = self.held.iter().cloned().collect();
            actions.push(Action::Hold { addresses, lifetime });
        }
    }

    pub(super) fn tell_presence(&mut self, actions: &mut Vec<Action>) {
        let interval = crate::router::centiseconds(PRESENCE);
        self.timers.set(Timer::Presence, self.now + interval);
        self.send_presence(PRESENCE_PRIORITY, actions);
        let now = self.now;
        self.report.generation += 1;
        self.report.strangers.retain(|_, stranger| stranger.heard + STRANGER > now);
        self.forget_conflicts();
    }

    pub(super) fn send_presence(&mut self, priority: u8, actions: &mut Vec<Action>) {
        let addresses = advertised(self.config.own, std::iter::empty());
        let vrid = self.config.presence;
        self.send(Advertisement { vrid, priority, interval: PRESENCE, addresses }, actions);
    }
}
