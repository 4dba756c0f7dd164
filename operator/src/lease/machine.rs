//! The decision: `(observed record, now) -> action`. Times are a monotonic clock's readings since any fixed moment.
//!
//! Clocks of different machines are never compared. A candidate measures with its own clock how long the record has
//! not changed since it first saw it so; a holder measures from the moment at which it *began* its last successful
//! renewal. What the candidate sees was written after that moment, so with `renew_deadline < lease_duration` the holder
//! has stopped before the candidate starts, as long as their clocks run at nearly the same speed.

use std::time::Duration;

/// Times and name of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The candidate's name; no two have the same.
    pub identity: String,
    /// How long an unrenewed lease stays its holder's.
    pub lease_duration: Duration,
    /// How long after its last renewal a holder still acts.
    pub renew_deadline: Duration,
    /// Time between attempts.
    pub retry_period: Duration,
}

/// A lease as the API server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// How long it stays the holder's when it is not renewed; zero if it does not say.
    pub duration: Duration,
    /// How often it has gone from one holder to another.
    pub transitions: i32,
    /// When the holder got it, as it is written.
    pub acquired: Option<String>,
    /// When it was renewed, as it is written: only compared for change.
    pub renewed: Option<String>,
    /// The object's version.
    pub version: String,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until then.
    Wait(Duration),
    /// Read the lease, then [`Machine::read`].
    Read,
    /// Write the lease, then [`Machine::written`] or [`Machine::failed`].
    Write(Draft),
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The holder to be; empty to release.
    pub holder: String,
    /// The version of the lease that this replaces; none to create it.
    pub version: Option<String>,
    /// How often it has changed hands.
    pub transitions: i32,
    /// Keeps the time of acquisition; else it is now.
    pub acquired: Option<String>,
}

/// A candidate.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: Settings,
    /// The record as last seen, and since when it has been so.
    observed: Option<(Record, Duration)>,
    /// Whether there was no lease when last looked.
    absent: bool,
    /// When the last successful renewal began.
    renewed: Option<Duration>,
    /// When the write under way began.
    writing: Option<Duration>,
    /// Not before.
    next: Duration,
    /// The lease has to be read before it can be judged or written again.
    stale: bool,
}

impl Machine {
    /// A candidate that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            observed: None,
            absent: false,
            renewed: None,
            writing: None,
            next: Duration::ZERO,
            stale: true,
        }
    }

    /// Until when this candidate may act as the holder.
    pub fn held_until(&self) -> Option<Duration> {
        self.renewed.map(|began| began + self.settings.renew_deadline)
    }

    /// Whether this candidate may act as the holder.
    pub fn holds(&self, now: Duration) -> bool {
        self.held_until().is_some_and(|until| now < until)
    }

    /// What is to be done now.
    pub fn poll(&mut self, now: Duration) -> Action {
        if self.renewed.is_some() && !self.holds(now) {
            self.renewed = None;
        }
        if now < self.next {
            return Action::Wait(self.next);
        }
        if self.stale {
            return Action::Read;
        }
        let Some((record, since)) = &self.observed else {
            if !self.absent {
                return Action::Read;
            }
            return self.write(now, None, 0, None);
        };
        let (record, since) = (record.clone(), *since);
        let version = Some(record.version.clone());
        if record.holder == self.settings.identity {
            return self.write(now, version, record.transitions, record.acquired);
        }
        let expires = since + self.promised(&record);
        if !record.holder.is_empty() && now < expires {
            self.stale = true;
            self.next = now + self.settings.retry_period;
            return Action::Wait(self.next);
        }
        self.write(now, version, record.transitions.saturating_add(1), None)
    }

    /// The lease was read: there is none, or it is `record`. `now` is after the answer.
    pub fn read(&mut self, now: Duration, record: Option<Record>) {
        self.stale = false;
        self.absent = record.is_none();
        match record {
            None => self.observed = None,
            Some(record) => self.observe(now, record),
        }
    }

    /// The write that [`poll`](Self::poll) asked for succeeded. `now` is after the answer.
    pub fn written(&mut self, now: Duration, record: Record) {
        let began = self.writing.take();
        if record.holder == self.settings.identity {
            self.renewed = began;
        }
        self.observe(now, record);
        self.next = now + self.settings.retry_period;
    }

    /// A read or write failed, or its outcome is unknown.
    pub fn failed(&mut self, now: Duration) {
        self.writing = None;
        self.stale = true;
        self.next = now + self.settings.retry_period;
    }

    /// Gives the lease up: what to write, if it is held. From now on this candidate does not act.
    pub fn release(&mut self) -> Option<Draft> {
        let held = self.renewed.take();
        let (record, _) = self.observed.as_ref()?;
        held.filter(|_| record.holder == self.settings.identity)?;
        Some(Draft {
            holder: String::new(),
            version: Some(record.version.clone()),
            transitions: record.transitions,
            acquired: record.acquired.clone(),
        })
    }

    fn write(
        &mut self,
        now: Duration,
        version: Option<String>,
        transitions: i32,
        acquired: Option<String>,
    ) -> Action {
        self.writing = Some(now);
        let holder = self.settings.identity.clone();
        Action::Write(Draft { holder, version, transitions, acquired })
    }

    fn observe(&mut self, now: Duration, record: Record) {
        let same = self.observed.as_ref().is_some_and(|(seen, _)| *seen == record);
        if !same {
            self.observed = Some((record, now));
        }
    }

    /// How long a record stays its holder's: as it promises; as we would where it does not say.
    fn promised(&self, record: &Record) -> Duration {
        if record.duration.is_zero() { self.settings.lease_duration } else { record.duration }
    }
}
