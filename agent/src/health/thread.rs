//! The thread: runs the checks that the machine says are due, and tells it how they ended.

use super::{Known, Target, Verdict};
use crate::metrics::Metrics;
use crate::owner::Owner;
use lvs_checker::{Check, Failure};
use lvs_crds::{HealthCheck, InitialHealth};
use lvs_health::{Machine, Timing};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// At most so many checks run at once, each with a file descriptor, of which a process may have 1,024 by default. More are late.
const MOST: usize = 768;
/// How long nothing may happen.
const IDLE: Duration = Duration::from_secs(3600);

/// What an owner wants checked, and what is known of it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) owner: Owner,
    pub(super) targets: BTreeMap<Target, Known>,
}

/// What has turned and was not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) turned: BTreeMap<Target, (u64, Verdict)>,
}

pub(super) struct Thread {
    published: Arc<Mutex<Published>>,
    notify: Box<dyn Fn() + Send>,
    metrics: Arc<Metrics>,
    epoch: Instant,
    machine: Machine<Target>,
    /// What is asked, and for whom.
    asked: BTreeMap<Target, Asked>,
    wanted: BTreeMap<Owner, BTreeSet<Target>>,
    running: JoinSet<(Target, Result<String, Failure>)>,
}

struct Asked {
    check: Arc<Check>,
    owners: usize,
    serial: u64,
}

impl Thread {
    pub(super) fn new(
        published: Arc<Mutex<Published>>,
        notify: Box<dyn Fn() + Send>,
        metrics: Arc<Metrics>,
    ) -> Self {
        // The standard library's source of chance.
        let machine = Machine::new(RandomState::new().hash_one(0));
        Self {
            published,
            notify,
            metrics,
            epoch: Instant::now(),
            machine,
            asked: BTreeMap::new(),
            wanted: BTreeMap::new(),
            running: JoinSet::new(),
        }
    }

    /// Until nobody is left to tell it.
    pub(super) async fn run(mut self, mut inbox: UnboundedReceiver<Command>) {
        loop {
            self.begin();
            let wait = match self.machine.deadline() {
                Some(due) if self.running.len() < MOST => due.saturating_sub(self.epoch.elapsed()),
                _ => IDLE,
            };
            let due = tokio::time::Instant::now() + wait;
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                Some(ended) = self.running.join_next() => {
                    // A task of ours neither panics nor is it aborted.
                    if let Ok((target, met)) = ended {
                        self.end(target, met);
                    }
                }
                () = sleep_until(due) => {}
            }
        }
    }

    fn begin(&mut self) {
        let now = self.epoch.elapsed();
        while self.running.len() < MOST
            && let Some(target) = self.machine.begin(now)
        {
            let Some(asked) = self.asked.get(&target) else { continue };
            let check = Arc::clone(&asked.check);
            self.running.spawn(async move {
                let met = check.run(target.address, target.port).await;
                (target, met)
            });
        }
    }

    fn end(&mut self, target: Target, met: Result<String, Failure>) {
        self.metrics.health_checked(kind(&target.check), met.is_ok());
        let met = match met {
            Ok(text) => Ok(text),
            // That this machine cannot ask says nothing of the server.
            Err(error @ Failure::Local(_)) => match self.machine.is_up(&target) {
                Some(false) => Err(error.to_string()),
                _ => Ok(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        if let Some(turned) = self.machine.end(&target, met, self.epoch.elapsed()) {
            let count = turned.count;
            let reason = format!("{}, {count} of {count}", turned.reason);
            let serial = self.asked.get(&target).map_or(0, |asked| asked.serial);
            self.tell(target, serial, Verdict { up: turned.up, reason, unfit: false });
        }
    }

    fn tell(&mut self, target: Target, serial: u64, verdict: Verdict) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.turned.insert(target, (serial, verdict));
        drop(published);
        (self.notify)();
    }

    fn take(&mut self, Command { owner, targets }: Command) {
        let new: BTreeSet<Target> = targets.keys().cloned().collect();
        let old = match new.is_empty() {
            true => self.wanted.remove(&owner),
            false => self.wanted.insert(owner, new.clone()),
        };
        let old = old.unwrap_or_default();
        for target in old.difference(&new) {
            self.release(target);
        }
        for (target, known) in targets {
            if !old.contains(&target) {
                self.want(target, known);
            }
        }
    }

    fn want(&mut self, target: Target, known: Known) {
        if let Some(asked) = self.asked.get_mut(&target) {
            asked.owners += 1;
            return;
        }
        let serial = known.serial;
        match Check::new(&target.check) {
            Ok(check) => {
                let up = known.verdict.filter(|verdict| !verdict.unfit).map(|verdict| verdict.up);
                let (timing, now) = (timing(&target.check), self.epoch.elapsed());
                self.machine.set(target.clone(), timing, up, now);
                self.asked.insert(target, Asked { check: Arc::new(check), owners: 1, serial });
            }
            // What cannot be asked says nothing of the server.
            Err(error) => {
                let verdict = Verdict { up: true, reason: error.to_string(), unfit: true };
                self.tell(target, serial, verdict);
            }
        }
    }

    fn release(&mut self, target: &Target) {
        let Some(asked) = self.asked.get_mut(target) else { return };
        asked.owners -= 1;
        if asked.owners == 0 {
            self.asked.remove(target);
            self.machine.remove(target);
        }
    }
}

fn timing(check: &HealthCheck) -> Timing {
    let number = |number: i32| u32::try_from(number).unwrap_or(0);
    Timing {
        interval: Duration::from_millis(u64::from(number(check.interval_milliseconds.max(1)))),
        rise: number(check.rise),
        fall: number(check.fall),
        initial_up: check.initial == InitialHealth::Up,
        jitter_percent: number(check.jitter_percent),
    }
}

/// The kind, as metrics name it.
fn kind(check: &HealthCheck) -> &'static str {
    if check.tcp.is_some() {
        "tcp"
    } else if check.http.is_some() {
        "http"
    } else if check.grpc.is_some() {
        "grpc"
    } else if check.dns.is_some() {
        "dns"
    } else if check.udp.is_some() {
        "udp"
    } else if check.icmp.is_some() {
        "icmp"
    } else {
        "smtp"
    }
}
