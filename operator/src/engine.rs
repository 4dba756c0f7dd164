//! The loop: takes changes in, works marked targets off while this replica is the active one.

use crate::api::{Failure, Write, WriteError, Writer, Written};
use crate::lease::gate::Gate;
use crate::metrics::Metrics;
use crate::state::{Change, Decision, State, Target};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

/// Targets being written at once.
const CONCURRENT: usize = 16;
/// Decisions between two looks at what has happened meanwhile.
const BATCH: usize = 64;
/// Events that wait to be published; more are dropped: they must not hold up what they tell of.
const EVENTS: usize = 1024;
/// How often the silence of agents is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long writes under way may take when the operator ends.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// How the work on a target ended.
struct Done {
    target: Target,
    written: Vec<Written>,
    events: Vec<Event>,
    result: Result<(), WriteError>,
}

/// The loop's parts.
pub struct Engine {
    /// Writes.
    pub writer: Writer,
    /// The gate, which has the clock.
    pub gate: Gate,
    /// Counts.
    pub metrics: Metrics,
    /// What the watches see.
    pub changes: mpsc::Receiver<Change>,
    /// Whether this replica is the active one.
    pub leading: watch::Receiver<bool>,
    /// Tells whether everything has been listed.
    pub ready: watch::Sender<bool>,
    /// Ends the loop.
    pub stop: watch::Receiver<bool>,
}

impl Engine {
    /// Runs until it is stopped.
    pub async fn run(mut self) {
        let (done, mut results) = mpsc::channel::<Done>(CONCURRENT);
        let (events, to_publish) = mpsc::channel(EVENTS);
        let publisher = tokio::spawn(publish(self.writer.clone(), to_publish));
        let mut work = Work { state: State::default(), done, events, busy: 0, leads: false };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            let due = self.wake(&work);
            tokio::select! {
                // What has happened comes before what is to be done about it.
                biased;
                _ = self.stop.wait_for(|stop| *stop) => break,
                Some(done) = results.recv() => work.finish(done, self.gate.now(), &self.metrics),
                count = self.changes.recv_many(&mut batch, 4096) => {
                    if count == 0 { break }
                    let now = self.gate.now();
                    batch.drain(..).for_each(|change| work.state.change(change, now));
                }
                Ok(()) = self.leading.changed() => {}
                _ = tick.tick() => work.state.look_at_clock(self.gate.now()),
                () = tokio::time::sleep(due) => {}
            }
            self.promote(&mut work);
            let active = work.leads && self.gate.is_open() && work.state.is_synced();
            let events = work.state.take_events();
            if active {
                work.tell(events);
                self.work_off(&mut work);
            }
        }
        let last = async {
            while work.busy > 0
                && let Some(done) = results.recv().await
            {
                work.finish(done, self.gate.now(), &self.metrics);
            }
        };
        if tokio::time::timeout(LAST_WRITES, last).await.is_err() {
            warn!("writes under way are abandoned; they change nothing that has changed meanwhile");
        }
        drop(work);
        if tokio::time::timeout(LAST_WRITES, publisher).await.is_err() {
            debug!("events were not published");
        }
    }

    /// How long until something is due: at once if there is work and room for it.
    fn wake(&self, work: &Work) -> Duration {
        let active = work.leads && self.gate.is_open() && work.state.is_synced();
        if !active || work.busy >= CONCURRENT {
            return TICK;
        }
        if work.state.queue.is_ready() {
            return Duration::ZERO;
        }
        let due = work.state.queue.due();
        due.map_or(TICK, |due| due.saturating_sub(self.gate.now()).min(TICK))
    }

    fn promote(&mut self, work: &mut Work) {
        if work.state.is_synced() && !*self.ready.borrow() {
            info!("everything is listed");
            self.ready.send_replace(true);
        }
        let leads = *self.leading.borrow();
        if leads != work.leads {
            work.leads = leads;
            self.metrics.leads(leads);
            if leads {
                work.state.mark_all();
            }
        }
    }

    fn work_off(&self, work: &mut Work) {
        for _ in 0..BATCH {
            if work.busy >= CONCURRENT {
                return;
            }
            let Some(target) = work.state.queue.next(self.gate.now()) else { return };
            let began = Instant::now();
            let decision = work.state.decide(&target, Timestamp::now());
            self.metrics.reconciled(target.kind(), began.elapsed());
            if decision.writes.is_empty() {
                work.state.queue.done(&target);
                continue;
            }
            work.busy += 1;
            tokio::spawn(perform(self.writer.clone(), target, decision, work.done.clone()));
        }
    }
}

struct Work {
    state: State,
    done: mpsc::Sender<Done>,
    events: mpsc::Sender<Event>,
    busy: usize,
    leads: bool,
}

impl Work {
    fn finish(&mut self, done: Done, now: Duration, metrics: &Metrics) {
        self.busy = self.busy.saturating_sub(1);
        for written in done.written {
            self.state.written(written, now);
        }
        match done.result {
            Ok(()) => {
                self.state.queue.done(&done.target);
                self.tell(done.events);
                // Slices stand now: the status may follow.
                if let Target::VirtualService(_) = done.target {
                    self.state.queue.mark(done.target);
                }
            }
            Err(error) => {
                metrics.reconcile_failed(done.target.kind());
                let (kind, object) = (done.target.kind(), done.target.to_string());
                let cause = error.failure.source().map(ToString::to_string).unwrap_or_default();
                match error.failure {
                    Failure::Stale(_) => {
                        info!(kind, object, %error, cause, "a write came late and changed nothing; deciding again");
                    }
                    Failure::NotActive => info!(kind, object, %error, "not written: not active"),
                    _ => {
                        warn!(kind, object, %error, failure = %error.failure, cause, "trying again later")
                    }
                }
                self.state.queue.failed(&done.target, now);
            }
        }
    }

    fn tell(&self, events: Vec<Event>) {
        for event in events {
            if let Err(error) = self.events.try_send(event) {
                debug!(%error, "an event was dropped");
            }
        }
    }
}

async fn perform(writer: Writer, target: Target, decision: Decision, done: mpsc::Sender<Done>) {
    let mut written = Vec::new();
    let mut result = Ok(());
    for write in decision.writes {
        match writer.write(write).await {
            Ok(what) => {
                log(&target, &what);
                written.push(what);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    // Nobody listens when the operator ends.
    let _ = done.send(Done { target, written, events: decision.events, result }).await;
}

fn log(target: &Target, written: &Written) {
    let (kind, object) = (target.kind(), target.to_string());
    match written {
        Written::Slice(slice) => {
            let version = slice.metadata.resource_version.as_deref().unwrap_or_default();
            let name = slice.metadata.name.as_deref().unwrap_or_default();
            info!(kind, object, slice = name, version, "wrote a slice");
        }
        Written::SliceGone(doomed) => {
            info!(kind, object, slice = doomed.key.name, "deleted a slice")
        }
        _ => debug!(kind, object, "wrote the status"),
    }
}

async fn publish(writer: Writer, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        if let Err(error) = writer.write(Write::Event(Box::new(event))).await {
            debug!(%error, failure = %error.failure, "an event was not published");
        }
    }
}
