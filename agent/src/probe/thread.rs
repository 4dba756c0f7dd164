//! The thread: waits for frames, commands and deadlines, and does what the machine says. Nothing is open while nothing is asked.

use super::channel::{Command, Published};
use super::machine::Machine;
use super::sockets::{Ports, Tap};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one report within this time.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing may happen.
const IDLE: Duration = Duration::from_secs(60);
/// Before sockets that could not be had are tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Frames of one interface in a row.
const BURST: usize = 64;

pub(super) struct Thread {
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    published: Arc<Mutex<Published>>,
    notify: Box<dyn Fn() + Send>,
    epoch: Instant,
    ports: Option<Ports>,
    machine: Machine,
    taps: BTreeMap<u32, Tap>,
    retry: Option<Duration>,
    pause: Duration,
    out: Vec<(u32, Vec<u8>)>,
}

impl Thread {
    pub(super) fn new(
        inbox: Receiver<Command>,
        wake: Arc<EventFd>,
        published: Arc<Mutex<Published>>,
        notify: Box<dyn Fn() + Send>,
    ) -> Self {
        // The standard library's source of chance.
        let seed = RandomState::new().hash_one(0);
        Self {
            inbox,
            wake,
            published,
            notify,
            epoch: Instant::now(),
            ports: None,
            machine: Machine::new(0..0, seed),
            taps: BTreeMap::new(),
            retry: None,
            pause: Duration::ZERO,
            out: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let (wake, interfaces) = self.wait();
            if wake && !self.commands() {
                return;
            }
            for interface in interfaces {
                self.frames(interface);
            }
            if self.open() {
                let now = self.epoch.elapsed();
                self.machine.tick(now, &mut self.out);
            }
            for (interface, frame) in self.out.drain(..) {
                if let Some(tap) = self.taps.get(&interface) {
                    tap.send(frame);
                }
            }
            self.tell();
        }
    }

    fn wait(&self) -> (bool, Vec<u32>) {
        let now = self.epoch.elapsed();
        let tick = self.machine.deadline().filter(|_| self.retry.is_none());
        let told = self.machine.has_news().then_some(self.pause);
        let next = tick.into_iter().chain(self.retry).chain(told).min().unwrap_or(now + IDLE);
        let mut polled = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        let mut sources = Vec::new();
        for (interface, tap) in &self.taps {
            for descriptor in tap.descriptors() {
                sources.push(*interface);
                polled.push(PollFd::new(descriptor, PollFlags::POLLIN));
            }
        }
        let timeout = TimeSpec::from_duration(next.saturating_sub(now).min(IDLE));
        if let Err(error) = ppoll(&mut polled, Some(timeout), None)
            && error != nix::Error::EINTR
        {
            tracing::error!(%error, "poll");
        }
        let mut ready = polled.iter().map(|polled| polled.any() == Some(true));
        let wake = ready.next().unwrap_or(false);
        let ready = sources.into_iter().zip(ready).filter(|(_, ready)| *ready);
        let interfaces: BTreeSet<u32> = ready.map(|(interface, _)| interface).collect();
        (wake, interfaces.into_iter().collect())
    }

    /// Whether to go on.
    fn commands(&mut self) -> bool {
        // It fails only when there is nothing to read.
        let _ = self.wake.read();
        let now = self.epoch.elapsed();
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Ask(owner, asks)) => self.machine.ask(owner, *asks, now),
                Ok(Command::Told(version)) => self.machine.told(version),
                Ok(Command::Held(vips)) => self.machine.hold(vips, now),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn frames(&mut self, interface: u32) {
        let Some(tap) = self.taps.get(&interface) else { return };
        let mut buffer = [0; 2048];
        for _ in 0..BURST {
            match tap.receive(&mut buffer) {
                Ok(Some(frame)) => {
                    let now = self.epoch.elapsed();
                    self.machine.hear(interface, frame, now, &mut self.out);
                }
                Ok(None) => return,
                // The interface went down, or went.
                Err(error) => {
                    tracing::debug!(interface, %error, "a packet socket");
                    return;
                }
            }
        }
    }

    /// Whether all is open that is needed.
    fn open(&mut self) -> bool {
        let now = self.epoch.elapsed();
        let wanted = self.machine.interfaces().clone();
        self.taps.retain(|interface, _| wanted.contains(interface));
        let missing: Vec<u32> =
            wanted.into_iter().filter(|interface| !self.taps.contains_key(interface)).collect();
        if missing.is_empty() {
            self.retry = None;
            return !self.taps.is_empty();
        }
        if self.retry.is_some_and(|retry| now < retry) {
            return false;
        }
        self.retry = None;
        for interface in missing {
            if let Err(error) = self.open_one(interface) {
                tracing::warn!(interface, %error, "VIPs cannot be asked: no sockets; tried again");
                self.retry = Some(now + RETRY);
            }
        }
        self.retry.is_none()
    }

    fn open_one(&mut self, interface: u32) -> std::io::Result<()> {
        let ports = match &self.ports {
            Some(ports) => ports,
            None => {
                let ports = Ports::take(RandomState::new().hash_one(1))?;
                self.machine.set_ports(ports.range.clone());
                self.ports.insert(ports)
            }
        };
        self.taps.insert(interface, Tap::open(interface, &ports.range)?);
        Ok(())
    }

    fn tell(&mut self) {
        let now = self.epoch.elapsed();
        let report = if now >= self.pause { self.machine.report() } else { None };
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.figures = self.machine.figures();
        if let Some(report) = report.filter(|report| *report != published.report) {
            published.report = report;
            drop(published);
            self.pause = now + PAUSE;
            (self.notify)();
        }
    }
}
