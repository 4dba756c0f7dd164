//! One group on the thread: what is wanted of it, its machine, and what was last told of it.

use super::chronicle::{Chronicle, Scene};
use super::config::{Path, Problem, held, mac_text};
use super::figures::Sums;
use super::io::Io;
use super::wording::Line;
use super::{Report, RouterReport, Want};
use crate::state::HeldAddress;
use lvs_vrrp::{Action, Config, Event, Found, Group, Held, State};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// A group that this node is a director of.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) want: Want,
    /// None until it has taken part once.
    pub(super) running: Option<Running>,
    pub(super) problem: Option<Problem>,
    /// Why no advertisement gets out.
    pub(super) unsent: Option<String>,
    /// It is wanted no more, and handed over.
    pub(super) leaving: bool,
}

/// A group that takes part, or has.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) group: Group,
    pub(super) config: Config,
    pub(super) path: Path,
    /// With which addresses were last held.
    pub(super) lifetime: Option<Duration>,
    /// What the log has of it.
    pub(super) chronicle: Chronicle,
    /// What was told of it.
    told: Told,
    /// [`lvs_vrrp::Report::generation`] of it: what is told changes with it alone.
    generation: Option<u64>,
}

type Roles = BTreeMap<u8, (State, Option<String>)>;

#[derive(Debug, Default, PartialEq)]
struct Told {
    sums: Sums,
    roles: Roles,
    strangers: Vec<(u8, IpAddr)>,
    conflicts: Vec<(IpAddr, lvs_vrrp::Mac, bool)>,
    live: Vec<String>,
}

impl Carried {
    pub(super) fn new(want: Want) -> Self {
        Self { want, running: None, problem: None, unsent: None, leaving: false }
    }

    /// All that floats with it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &HeldAddress> {
        self.want.routers.values().flat_map(|router| &router.addresses)
    }

    /// What there is to say of it in the log.
    pub(super) fn lines(
        &mut self,
        io: &Io,
        now: Duration,
        say: impl FnOnce(&mut Chronicle, Scene<'_>) -> Vec<Line>,
    ) -> Vec<Line> {
        let Some(running) = &mut self.running else { return Vec::new() };
        let wanted = &self.want.routers;
        let ill = |id: u8| {
            let router = wanted.get(&id)?;
            let failed = || router.addresses.iter().find_map(|it| io.failed.all().get(it));
            router.ill.as_ref().or_else(failed).cloned()
        };
        let stands = |it: &Held| {
            let it = held(it.clone());
            io.addresses.ours().contains_key(&it) || io.addresses.foreign().contains(&it)
        };
        let scene = Scene {
            config: &running.config,
            report: running.group.report(),
            held: running.group.held(),
            stands: &stands,
            ill: &ill,
            now,
        };
        say(&mut running.chronicle, scene)
    }

    /// Adds it to a report.
    pub(super) fn report(
        &self,
        name: &str,
        failed: &BTreeMap<HeldAddress, String>,
        report: &mut Report,
    ) {
        if let Some(problem) = &self.problem {
            let said = (problem.reason().to_owned(), problem.to_string());
            report.problems.insert(name.to_owned(), said);
        } else if let Some(error) = &self.unsent {
            let said = format!("advertisements cannot be sent: {error}");
            report.problems.insert(name.to_owned(), ("SocketFailed".to_owned(), said));
        }
        let Some(running) = &self.running else { return };
        let machine = running.group.report();
        for (id, router) in &machine.routers {
            let wanted = self.want.routers.get(&id.get());
            let failed = wanted.and_then(|it| it.addresses.iter().find_map(|it| failed.get(it)));
            let ill = || wanted.and_then(|it| it.ill.clone());
            let told = RouterReport {
                active: router.state == State::Active,
                problem: router.down.clone().or_else(|| failed.cloned()).or_else(ill),
            };
            report.routers.insert((name.to_owned(), id.get()), told);
        }
        let heard = machine.live.keys().cloned().collect();
        report.hears.insert(name.to_owned(), heard);
        for (id, stranger) in &machine.strangers {
            report.strangers.insert(id.get(), stranger.address.to_string());
        }
        // One of our own that answers for a while after a take-over is no news: its lifetime ends it.
        let foreign = machine.conflicts.iter().filter(|(_, conflict)| !conflict.ours);
        for (address, conflict) in foreign {
            for held in self.addresses().filter(|held| held.address.addr() == *address) {
                report.conflicts.insert(held.clone(), mac_text(conflict.mac));
            }
        }
    }
}

impl Running {
    /// Begins to listen. `found` are addresses of ours.
    pub(super) fn start(
        config: Config,
        path: Path,
        found: Vec<(Held, Found)>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Self {
        let group = Group::new(config.clone(), found, now, actions);
        Self {
            group,
            config,
            path,
            lifetime: None,
            chronicle: Chronicle::default(),
            told: Told::default(),
            generation: None,
        }
    }

    /// Takes over a configuration, if it is another.
    pub(super) fn configure(
        &mut self,
        config: Config,
        path: Path,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.path = path;
        if self.config != config {
            self.config = config.clone();
            self.group.handle(Event::Configure(config), now, actions);
        }
    }

    /// Whether it knows the virtual router.
    pub(super) fn knows(&self, id: u8) -> bool {
        self.config.presence.get() == id
            || lvs_vrrp::Vrid::new(id).is_some_and(|id| self.config.routers.contains_key(&id))
    }

    /// Whether it has a virtual router that had this id.
    pub(super) fn knew(&self, id: u8) -> bool {
        lvs_vrrp::Vrid::new(id).is_some_and(|id| self.group.had(id))
    }

    /// Of its virtual routers, as last told.
    pub(super) fn sums(&self) -> Sums {
        self.told.sums
    }

    /// Whether something is to be told that was not told yet.
    pub(super) fn has_news(&mut self) -> bool {
        let report = self.group.report();
        if self.generation.replace(report.generation) == Some(report.generation) {
            return false;
        }
        let told = &mut self.told;
        let sums = Sums::of(report);
        let strangers = || report.strangers.iter().map(|(id, it)| (id.get(), it.address));
        let conflicts = || report.conflicts.iter().map(|(address, it)| (*address, it.mac, it.ours));
        let roles = || report.routers.iter().map(|(id, it)| (id.get(), (it.state, &it.down)));
        let same = told.sums == sums
            && told.strangers.iter().copied().eq(strangers())
            && told.conflicts.iter().copied().eq(conflicts())
            && told.live.iter().eq(report.live.keys())
            && told.roles.iter().map(|(id, (state, down))| (*id, (*state, down))).eq(roles());
        if !same {
            *told = Told {
                sums,
                strangers: strangers().collect(),
                conflicts: conflicts().collect(),
                live: report.live.keys().cloned().collect(),
                roles: roles().map(|(id, (state, down))| (id, (state, down.clone()))).collect(),
            };
        }
        !same
    }
}
