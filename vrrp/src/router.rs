//! One virtual router: the state machine of RFC 9568, section 6, with keepalived's delay before preemption.

use crate::packet::Advertisement;
use std::net::IpAddr;
use std::time::Duration;

/// RFC 9568, 6.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum State {
    /// No part in anything.
    #[default]
    Initialize,
    /// Listens to who is Active.
    Backup,
    /// Holds the addresses and says so.
    Active,
}

/// What a virtual router is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our address in the election: of two with one priority the higher address wins.
    pub own: IpAddr,
    /// 1 to 254; 255 does not listen first.
    pub priority: u8,
    /// Between our own advertisements, in centiseconds.
    pub interval: u16,
    /// How long to listen to an Active router of lower priority before taking over from it; `None`: for ever.
    pub preempt: Option<Duration>,
    /// An Active router of a priority below this is relieved at once by one that is not below it, whatever `preempt` says.
    pub ill_below: u8,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to do.
    Nothing,
    /// An advertisement is due.
    Advertise,
    /// Another one thinks it is Active: an advertisement is due, and the addresses have to be announced again.
    Contended,
    /// Now Active. The advertisement that says so is the caller's.
    TookOver(Cause),
    /// Not Active any more.
    GaveUp,
}

/// Why a router became Active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing was heard of the Active one for too long.
    Silence,
    /// The Active one gave up (priority 0), and still holds the addresses for a moment.
    Yielded,
    /// Its priority is higher than that of the Active one, which does not know yet.
    Preempted,
}

/// One virtual router. Times are from any fixed point.
#[derive(Clone, Debug)]
pub struct Router {
    settings: Settings,
    state: State,
    /// The Active one's interval, as heard from it.
    active_interval: u16,
    /// When to advertise (Active) or to take over (Backup).
    timer: Duration,
    /// When to take over from an Active one of lower priority.
    preempt_at: Option<Duration>,
    /// The Active one gave up.
    yielded: bool,
}

impl Router {
    /// A router that begins to listen.
    pub fn start(settings: Settings, now: Duration) -> Self {
        let mut router = Self {
            settings,
            state: State::Backup,
            active_interval: settings.interval,
            timer: now,
            preempt_at: None,
            yielded: false,
        };
        if settings.priority != 255 {
            router.listen(now);
        }
        router
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When [`Router::tick`] is due; `None`: never.
    pub fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Initialize => None,
            State::Backup => Some(self.preempt_at.map_or(self.timer, |at| at.min(self.timer))),
            State::Active => Some(self.timer),
        }
    }

    /// How long this router waits for an advertisement before it takes over.
    pub fn active_down_interval(&self) -> Duration {
        3 * centiseconds(self.active_interval) + self.skew()
    }

    /// The lower the priority, the later: so one of many is first.
    pub fn skew(&self) -> Duration {
        centiseconds(self.active_interval) * (256 - u32::from(self.settings.priority)) / 256
    }

    /// New settings.
    pub fn configure(&mut self, settings: Settings, now: Duration) -> Outcome {
        let before = std::mem::replace(&mut self.settings, settings);
        if before == settings {
            return Outcome::Nothing;
        }
        match self.state {
            State::Initialize => Outcome::Nothing,
            State::Backup => {
                // What is heard next decides anew.
                self.preempt_at = None;
                self.timer = self.timer.max(now).min(now + self.active_down_interval());
                Outcome::Nothing
            }
            State::Active => {
                self.timer = now + centiseconds(settings.interval);
                Outcome::Advertise
            }
        }
    }

    /// Back to listening, whatever was before.
    pub fn listen(&mut self, now: Duration) {
        self.state = State::Backup;
        self.timer = now + self.active_down_interval();
        self.preempt_at = None;
        self.yielded = false;
    }

    /// Takes no more part. Whether it was Active: an advertisement of priority 0 is then due.
    pub fn shut_down(&mut self) -> bool {
        std::mem::take(&mut self.state) == State::Active
    }

    /// An advertisement of this virtual router, from another address than our own.
    pub fn hear(&mut self, from: IpAddr, heard: &Advertisement, now: Duration) -> Outcome {
        match self.state {
            State::Initialize => Outcome::Nothing,
            State::Backup => {
                self.hear_as_backup(heard, now);
                Outcome::Nothing
            }
            State::Active => {
                let (own, other) = (self.settings.priority, heard.priority);
                if other > own || other == own && from > self.settings.own {
                    self.active_interval = heard.interval;
                    self.listen(now);
                    return Outcome::GaveUp;
                }
                self.timer = now + centiseconds(self.settings.interval);
                Outcome::Contended
            }
        }
    }

    fn hear_as_backup(&mut self, heard: &Advertisement, now: Duration) {
        if heard.priority == 0 {
            // Said several times over by ours that leave: the first one counts.
            self.timer = self.timer.min(now + self.skew());
            self.yielded = true;
            self.preempt_at = None;
            return;
        }
        self.active_interval = heard.interval;
        self.yielded = false;
        self.timer = now + self.active_down_interval();
        if heard.priority >= self.settings.priority {
            self.preempt_at = None;
            return;
        }
        let ill = self.settings.ill_below;
        let wait = match self.settings.preempt {
            _ if heard.priority < ill && self.settings.priority >= ill => Some(Duration::ZERO),
            wait => wait,
        };
        // The skew lets the best of several that wait go first. Somebody who just gave up to a better one says so once: that
        // one is heard within an interval.
        let least = centiseconds(heard.interval);
        let at = wait.map(|wait| now + wait.max(least) + self.skew());
        self.preempt_at = match (self.preempt_at, at) {
            (Some(before), Some(at)) => Some(before.min(at)),
            (_, at) => at,
        };
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Outcome {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Outcome::Nothing;
        }
        let preempted = self.preempt_at.take().is_some_and(|at| at <= now);
        self.timer = now + centiseconds(self.settings.interval);
        if self.state == State::Active {
            return Outcome::Advertise;
        }
        self.state = State::Active;
        Outcome::TookOver(match std::mem::take(&mut self.yielded) {
            true => Cause::Yielded,
            false if preempted => Cause::Preempted,
            false => Cause::Silence,
        })
    }
}

/// That many centiseconds.
pub(crate) fn centiseconds(count: u16) -> Duration {
    Duration::from_millis(10 * u64::from(count))
}
