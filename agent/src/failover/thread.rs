//! The thread: waits for packets, links, what is wanted, and the machines' deadlines; acts; then tells.

mod news;
mod tell;
mod want;

use super::acquaintances::Acquaintances;
use super::addresses::Addresses;
use super::backlog::{Backlog, Task};
use super::carried::{Carried, Running};
use super::channel::{Command, Published};
use super::chronicle::{Chronicle, Scene};
use super::clock::now;
use super::config;
use super::failed::Failed;
use super::figures::{Figures, Sums};
use super::io::{Io, Outcome};
use super::log::Log;
use super::settled::Settled;
use super::watch::Watch;
use crate::state::HeldAddress;
use lvs_vrrp::{Action, Event, Held, neighbor};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, mem};

/// How often addresses are looked at, in case somebody took one away.
const LOOK: Duration = Duration::from_secs(10);
/// The same while something is wrong.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Links that change together are looked at together.
const SETTLE: Duration = Duration::from_millis(100);
/// How long handing over may take when told to stop. A group gives up after four intervals by itself; of 40 s each nobody waits
/// for four.
const PARTING: Duration = Duration::from_secs(5);
/// Advertisements of one socket in one round; the rest waits for the next.
const BURST: usize = 1024;
/// The same of frames: the answers to a thousand probes come at once, and are in no hurry.
const FRAMES: usize = 64;
/// Room for a packet. Advertisements have at most 8 + 255 * 16 bytes.
const PACKET_BYTES: usize = 8192;

/// All that the thread has.
pub(super) struct Thread {
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    published: Arc<Mutex<Published>>,
    notify: Box<dyn Fn() + Send>,
    watch: Watch,
    log: Log,
    io: Io,
    groups: BTreeMap<String, Carried>,
    settled: Settled,
    /// Of which wants.
    number: u64,
    /// Addresses that something is to be heard of: those that float, and those of peers.
    interest: BTreeSet<IpAddr>,
    /// Of groups that are no more.
    past: Figures,
    look: Duration,
    /// When addresses were last put back.
    mended: Duration,
    parting: Option<Duration>,
    actions: Vec<Action>,
    buffer: Vec<u8>,
    /// Something is to be told.
    news: bool,
}

/// What can be read from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Wake,
    News,
    Vrrp { ipv6: bool },
    Frames(u32),
}

impl Thread {
    pub(super) fn open(
        ours: &BTreeSet<HeldAddress>,
        inbox: Receiver<Command>,
        wake: Arc<EventFd>,
        published: Arc<Mutex<Published>>,
        notify: Box<dyn Fn() + Send>,
    ) -> io::Result<Self> {
        // Before the list, so that nothing is missed.
        let watch = Watch::open()?;
        let (addresses, links) = Addresses::open(ours)?;
        let io = Io {
            links,
            addresses,
            v4: None,
            v6: None,
            neighbors: BTreeMap::new(),
            acquaintances: Acquaintances::default(),
            staying: BTreeSet::new(),
            failed: Failed::default(),
            backlog: Backlog::default(),
        };
        Ok(Self {
            inbox,
            wake,
            published,
            notify,
            watch,
            log: Log::start()?,
            io,
            groups: BTreeMap::new(),
            settled: Settled::default(),
            number: 0,
            interest: BTreeSet::new(),
            past: Figures::default(),
            look: now() + LOOK,
            mended: Duration::ZERO,
            parting: None,
            actions: Vec::new(),
            buffer: vec![0; PACKET_BYTES],
            news: false,
        })
    }

    pub(super) fn run(mut self) {
        loop {
            // What waits in the sockets comes before deadlines: no silence where there is none.
            for source in self.wait() {
                match source {
                    Source::Wake => self.commands(),
                    Source::News => self.news(),
                    Source::Vrrp { ipv6 } => self.packets(ipv6),
                    Source::Frames(interface) => self.frames(interface),
                }
            }
            self.ticks();
            self.announce_settled();
            self.work();
            if now() >= self.look && self.io.backlog.is_empty() {
                self.look_around();
            }
            self.tell();
            if self.parting.is_some_and(|end| self.groups.is_empty() || now() >= end) {
                break;
            }
        }
        self.log.end();
    }

    /// What can be read from, once something can be or a deadline has come.
    fn wait(&mut self) -> Vec<Source> {
        let deadlines = self.running().map(|running| running.group.deadline());
        let deadlines = deadlines.chain(self.settled.deadline());
        let next = deadlines.chain([self.look]).chain(self.parting).min().unwrap_or(self.look);
        let mut sources = vec![Source::News];
        let mut polled = vec![PollFd::new(self.watch.as_fd(), PollFlags::POLLIN)];
        for (socket, ipv6) in [(&self.io.v4, false), (&self.io.v6, true)] {
            if let Some(socket) = socket {
                sources.push(Source::Vrrp { ipv6 });
                polled.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            }
        }
        for (interface, neighbors) in &self.io.neighbors {
            for descriptor in neighbors.descriptors() {
                sources.push(Source::Frames(*interface));
                polled.push(PollFd::new(descriptor, PollFlags::POLLIN));
            }
        }
        sources.push(Source::Wake);
        polled.push(PollFd::new(self.wake.as_fd(), PollFlags::POLLIN));
        let idle = self.io.backlog.is_empty();
        let timeout = if idle { next.saturating_sub(now()) } else { Duration::ZERO };
        let timeout = TimeSpec::from_duration(timeout);
        if let Err(error) = ppoll(&mut polled, Some(timeout), None)
            && error != nix::Error::EINTR
        {
            tracing::error!(%error, "poll");
        }
        let ready =
            sources.into_iter().zip(polled).filter(|(_, polled)| polled.any() == Some(true));
        ready.map(|(source, _)| source).collect()
    }

    fn running(&self) -> impl Iterator<Item = &Running> {
        self.groups.values().filter_map(|carried| carried.running.as_ref())
    }

    /// Tells the machine of a group, and does what it says.
    fn handle(&mut self, name: &str, event: Event<'_>) {
        let Some(carried) = self.groups.get_mut(name) else { return };
        let Some(running) = &mut carried.running else { return };
        let mut actions = mem::take(&mut self.actions);
        running.group.handle(event, now(), &mut actions);
        self.actions = actions;
        self.act(name);
    }

    fn act(&mut self, name: &str) {
        let Some(carried) = self.groups.get_mut(name) else { return };
        let Some(running) = &mut carried.running else { return };
        let Outcome { lifetime, sent, moved, stopped, notes } =
            self.io.act(&running.path, &mut self.actions);
        if let Some(lifetime) = lifetime {
            running.lifetime = lifetime;
        }
        if let Some(sent) = sent {
            let unsent = sent.err();
            self.news |= unsent != carried.unsent;
            carried.unsent = unsent;
        }
        let lines = carried.lines(&self.io, now(), Chronicle::see);
        self.log.write(name, lines);
        if stopped {
            if let Some(running) = self.groups.remove(name).and_then(|carried| carried.running) {
                self.past.add_past(running.group.report(), Sums::of(running.group.report()));
            }
            self.news = true;
        }
        self.note(moved, notes);
    }

    /// A part of what waits; all of it before the end.
    fn work(&mut self) {
        loop {
            let Outcome { moved, notes, .. } = self.io.work();
            self.note(moved, notes);
            self.taken_over();
            if self.parting.is_none() || self.io.backlog.is_empty() {
                return;
            }
        }
    }

    /// Tells of take-overs that are done.
    fn taken_over(&mut self) {
        if !self.running().any(|running| running.chronicle.waits()) {
            return;
        }
        let waiting = self.io.backlog.waiting();
        for (name, carried) in &mut self.groups {
            let done = |chronicle: &mut Chronicle, scene: Scene<'_>| {
                chronicle.done(scene, |held| waiting.contains(held))
            };
            self.log.write(name, carried.lines(&self.io, now(), done));
        }
    }

    fn note(&mut self, moved: bool, notes: Vec<(HeldAddress, String)>) {
        self.news |= moved;
        for (held, text) in notes {
            tracing::warn!(address = %held.address, "{text}");
            // Others come first then.
            self.look = Duration::ZERO;
        }
    }

    /// One group takes a packet, so that nobody's packets are another's strangers.
    fn packets(&mut self, ipv6: bool) {
        let mut buffer = mem::take(&mut self.buffer);
        for _ in 0..BURST {
            let socket = if ipv6 { &self.io.v6 } else { &self.io.v4 };
            let Some(socket) = socket else { break };
            let packet = match socket.receive(&mut buffer) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                // Of a packet that was sent, such as a refusal by ICMP: the next one may be well.
                Err(error) => {
                    tracing::debug!(%error, "a VRRP socket");
                    continue;
                }
            };
            let Some(name) = self.addressee(packet.source, packet.bytes) else { continue };
            let (from, to, ttl, bytes) =
                (packet.source, packet.destination, packet.ttl, packet.bytes);
            self.handle(&name, Event::Packet { from, to, ttl, bytes });
        }
        self.buffer = buffer;
    }

    /// The group whose virtual router it is, or was, about and whose member it is from, or else the nearest to that.
    fn addressee(&self, source: IpAddr, bytes: &[u8]) -> Option<String> {
        if self.groups.len() == 1 {
            return self.groups.keys().next().cloned();
        }
        let id = bytes.get(1).copied().unwrap_or_default();
        let rank = |running: &Running| {
            let peer = running.path.peers.contains(&source) || running.path.own == source;
            2 * u8::from(running.knows(id)) + u8::from(running.knew(id)) + 2 * u8::from(peer)
        };
        let all = self.groups.iter().filter_map(|(name, it)| Some((name, it.running.as_ref()?)));
        all.max_by_key(|(_, running)| rank(running)).map(|(name, _)| name.clone())
    }

    fn frames(&mut self, interface: u32) {
        let mut buffer = mem::take(&mut self.buffer);
        for _ in 0..FRAMES {
            let Some(neighbors) = self.io.neighbors.get(&interface) else { break };
            let frame = match neighbors.receive(&mut buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // The interface went down: links tell.
                Err(error) => {
                    tracing::debug!(interface, %error, "a packet socket");
                    break;
                }
            };
            let Some(seen) = neighbor::parse(frame) else { continue };
            if self.io.is_own(seen.mac) {
                continue;
            }
            self.overheard(interface);
            if !seen.claims() {
                continue;
            }
            if !self.interest.contains(&seen.address) {
                self.io.acquaintances.note(interface, seen.address);
            } else {
                for name in self.names() {
                    self.handle(&name, Event::Neighbor { address: seen.address, mac: seen.mac });
                }
            }
        }
        self.buffer = buffer;
    }

    /// Something gets through.
    fn overheard(&mut self, interface: u32) {
        let deaf = self.groups.iter().filter(|(_, carried)| {
            let running = carried.running.as_ref();
            running.is_some_and(|it| it.group.is_deaf() && it.path.by == interface)
        });
        for name in deaf.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.handle(&name, Event::Frame);
        }
    }

    fn names(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    fn ticks(&mut self) {
        let time = now();
        if !self.running().any(|running| running.group.deadline() <= time) {
            return;
        }
        // What came while the rest was looked at.
        self.packets(false);
        self.packets(true);
        let due = self.groups.iter().filter(|(_, carried)| {
            carried.running.as_ref().is_some_and(|running| running.group.deadline() <= time)
        });
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.handle(&name, Event::Tick);
        }
    }

    fn announce_settled(&mut self) {
        let time = now();
        if self.settled.deadline().is_none_or(|deadline| deadline > time) {
            return;
        }
        match self.io.addresses.refresh(&self.io.links) {
            Ok(standing) => {
                let stands = |it: &Held| standing.contains_key(&config::held(it.clone()));
                let due = self.settled.due(time, stands);
                self.io.backlog.push(Task::Announce, due);
            }
            // At the next deadline again.
            Err(error) => {
                tracing::warn!(%error, "addresses cannot be listed, so they are not announced");
                self.settled.due(time, |_| true);
            }
        }
    }

    fn commands(&mut self) {
        // It fails only when there is nothing to read.
        let _ = self.wake.read();
        let mut wants = None;
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Want(new)) => {
                    if let Some(passed) = wants.replace(new) {
                        self.pass(passed);
                    }
                }
                Ok(Command::Announce(addresses)) => {
                    let addresses = addresses.iter().map(config::told).collect();
                    self.settled.add(addresses, now());
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.part();
                    return;
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        if let Some(wants) = wants
            && self.parting.is_none()
        {
            self.want(wants);
        }
    }

    fn part(&mut self) {
        if self.parting.is_some() {
            return;
        }
        self.parting = Some(now() + PARTING);
        self.groups.retain(|_, carried| carried.running.is_some());
        for name in self.names() {
            self.handle(&name, Event::Stop);
        }
    }
}
