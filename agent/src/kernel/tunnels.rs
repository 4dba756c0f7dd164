//! What a real server behind tunnels, and a director of transparent caches, need: tunnel devices, GUE ports, policy
//! rules. The messages are made in the modules below; here they are sent.

mod delivery;
mod device;
mod fou;
mod links;
#[cfg(test)]
mod tests;

pub(crate) use device::name;

use super::FixtureError;
use super::netlink::Rtnetlink;
use super::ports::Direction;
use crate::state::{Fixture, FixtureKind, Packets, TunnelDevice};
use fou::{Fou, Port};
use lvs_ipvs::{Errno, Family};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::rule::RuleMessage;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// `EADDRINUSE`.
const IN_USE: Errno = Errno(98);
/// Shows GUE's ports.
pub(super) const FOU_SHOW: &str = "ip fou show";
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The kernel's tunnels, GUE ports and policy rules, in the network namespace of the thread that asks first.
#[derive(Debug, Default)]
pub struct Tunnels {
    route: Option<Rtnetlink>,
    fou: Option<Fou>,
    sent_about_rules: u64,
}

type Results = Vec<Result<(), FixtureError>>;

/// A change with its place in the batch.
type Change<T> = (usize, Direction, T);

impl Tunnels {
    /// Makes fixtures, a result each, in the same order; one that fails stops no other. One that stands is left as it is.
    ///
    /// # Errors
    /// See [`FixtureError`].
    pub fn add(&mut self, fixtures: &[Fixture]) -> Results {
        self.change(&fixtures.iter().map(|it| (Direction::Add, *it)).collect::<Vec<_>>())
    }

    /// Removes fixtures, a result each, in the same order; one that is gone is no failure.
    ///
    /// # Errors
    /// See [`FixtureError`].
    pub fn remove(&mut self, fixtures: &[Fixture]) -> Results {
        self.change(&fixtures.iter().map(|it| (Direction::Remove, *it)).collect::<Vec<_>>())
    }

    /// Removes some and makes others in one batch, results in this order.
    ///
    /// # Errors
    /// See [`FixtureError`].
    pub fn exchange(&mut self, old: &[Fixture], new: &[Fixture]) -> Results {
        let removed = old.iter().map(|it| (Direction::Remove, *it));
        let added = new.iter().map(|it| (Direction::Add, *it));
        self.change(&removed.chain(added).collect::<Vec<_>>())
    }

    /// Requests sent so far, over rtnetlink and to the family `fou`.
    pub fn sent(&self) -> u64 {
        self.route.as_ref().map_or(0, Rtnetlink::sent) + self.fou.as_ref().map_or(0, Fou::sent)
    }

    /// Those of them about local delivery's rules and routes.
    pub fn sent_about_rules(&self) -> u64 {
        self.sent_about_rules
    }

    fn counting_rules<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.sent();
        let answer = ask(self);
        self.sent_about_rules += self.sent() - before;
        answer
    }

    /// What stands whole of these kinds: tunnel devices of ours; GUE ports, whoever made them; rules of ours.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn standing(
        &mut self,
        kinds: &BTreeSet<FixtureKind>,
    ) -> Result<BTreeSet<Fixture>, FixtureError> {
        let mut standing = BTreeSet::new();
        if kinds.contains(&FixtureKind::Tunnel) {
            let links = self.links().map_err(asking("list the tunnel devices"))?;
            standing.extend(device::fixtures(&device::seen(&links)));
        }
        if kinds.contains(&FixtureKind::Gue) {
            let ports = self.ports().map_err(asking("list the GUE ports"))?;
            standing.extend(ports.into_iter().map(|(family, port)| Fixture::Gue { family, port }));
        }
        if kinds.contains(&FixtureKind::LocalDelivery) {
            standing.extend(self.counting_rules(Self::delivered)?);
        }
        Ok(standing)
    }

    fn delivered(&mut self) -> Result<BTreeSet<Fixture>, FixtureError> {
        let rules = self.rules().map_err(asking("list the policy rules"))?;
        let mut standing = BTreeSet::new();
        for family in FAMILIES {
            let found = delivery::standing(&rules, family);
            if !found.packets.is_empty() {
                let routed =
                    self.routed(family).map_err(asking("list the routes of local delivery"))?;
                standing.extend(delivery::fixtures(found, routed));
            }
        }
        Ok(standing)
    }

    /// Makes and unmakes, a result each, in the same order; one that fails stops no other. What stands already is no
    /// failure, and neither is to remove what is gone.
    pub(super) fn change(&mut self, changes: &[(Direction, Fixture)]) -> Results {
        let mut results: Results = changes.iter().map(|_| Ok(())).collect();
        let (mut devices, mut ports, mut packets) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (direction, fixture)) in changes.iter().enumerate() {
            match *fixture {
                Fixture::Tunnel { device, local } => {
                    devices.push((place, *direction, (device, local)));
                }
                Fixture::Gue { family, port } => ports.push((place, *direction, (family, port))),
                Fixture::LocalDelivery { packets: these } => {
                    packets.push((place, *direction, these));
                }
                _ => {}
            }
        }
        let mut settle = |place: usize, result: Result<(), FixtureError>| {
            if let Some(slot) = results.get_mut(place) {
                *slot = result;
            }
        };
        if !devices.is_empty() {
            self.change_devices(&devices, &mut settle);
        }
        for (place, direction, port) in ports {
            settle(place, self.change_port(direction, port));
        }
        if !packets.is_empty() {
            self.counting_rules(|it| it.change_delivery(&packets, &mut settle));
        }
        results
    }

    fn change_port(&mut self, direction: Direction, port: Port) -> Result<(), FixtureError> {
        let shown =
            format!("UDP port {} (IPv{})", port.1, if port.0 == Family::V4 { 4 } else { 6 });
        let failed = |error| failed(format!("{} GUE at {shown}", direction.verb()), error);
        let fou = self.fou().map_err(failed)?;
        match (fou.is_there().map_err(failed)?, direction) {
            (true, Direction::Add) => match fou.add(port) {
                Err(error) if errno(&error) == Some(IN_USE) => {
                    // Somebody's GUE port serves as well as ours.
                    if fou.list().map_err(failed)?.contains(&port) {
                        return Err(FixtureError::Foreign {
                            what: format!("GUE at {shown}"),
                            shown_by: FOU_SHOW.to_owned(),
                        });
                    }
                    Err(failed(error))
                }
                result => result.map_err(failed),
            },
            (true, Direction::Remove) => match fou.remove(port) {
                Err(error) if errno(&error) == Some(Errno::EINVAL) => Ok(()),
                result => result.map_err(failed),
            },
            (false, Direction::Add) => Err(no_module("fou")),
            (false, Direction::Remove) => Ok(()),
        }
    }

    fn change_delivery(
        &mut self,
        changes: &[Change<Packets>],
        settle: &mut impl FnMut(usize, Result<(), FixtureError>),
    ) {
        let rules = match self.rules() {
            Ok(rules) => rules,
            Err(error) => return all(changes, "list the policy rules", settle, &error),
        };
        for family in FAMILIES {
            let of_family = |(.., packets): &&Change<Packets>| delivery::family(packets) == family;
            let changes: Vec<_> = changes.iter().filter(of_family).copied().collect();
            if !changes.is_empty() {
                self.change_family(family, &delivery::standing(&rules, family), &changes, settle);
            }
        }
    }

    /// The frame (the route, and the rules that spare the node's own packets) stands before the first rule that delivers,
    /// and goes after the last.
    fn change_family(
        &mut self,
        family: Family,
        before: &delivery::Standing,
        changes: &[Change<Packets>],
        settle: &mut impl FnMut(usize, Result<(), FixtureError>),
    ) {
        let frame = [delivery::end(family), delivery::pass(family)];
        let route = delivery::route(family);
        let create = NLM_F_CREATE | NLM_F_EXCL;
        let mut standing: BTreeSet<_> = before.packets.iter().copied().collect();
        if changes.iter().any(|(_, direction, _)| *direction == Direction::Add) {
            let mut requests = vec![(RouteNetlinkMessage::NewRoute(route.clone()), create)];
            requests.extend(frame.iter().map(|rule| (new(rule.clone()), create)));
            let failed = self.send(requests).into_iter().find_map(|result| match result {
                Err(error) if errno(&error) != Some(Errno::EEXIST) => Some(error),
                _ => None,
            });
            if let Some(error) = failed {
                return all(changes, "prepare local delivery", settle, &error);
            }
        }
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for &(place, direction, packets) in changes {
            match direction {
                Direction::Add => {
                    if let Some(because) = delivery::unfit(&packets) {
                        let source = io::Error::new(io::ErrorKind::InvalidInput, because);
                        settle(place, Err(undelivered(direction, &packets, source)));
                        continue;
                    }
                    standing.insert(packets);
                    requests.push((new(delivery::deliver(&packets)), create));
                }
                Direction::Remove => {
                    for named in delivery::of_one_rule(&packets) {
                        standing.remove(&named);
                    }
                    requests.push((RouteNetlinkMessage::DelRule(delivery::deliver(&packets)), 0));
                }
            }
            asked.push((place, direction, packets));
        }
        let results = self.send(requests);
        for ((place, direction, packets), result) in asked.into_iter().zip(results) {
            match (direction, result.as_ref().err().and_then(errno)) {
                (Direction::Add, Some(Errno::EEXIST))
                | (Direction::Remove, Some(Errno::ENOENT)) => {}
                _ => {
                    settle(place, result.map_err(|source| undelivered(direction, &packets, source)))
                }
            }
        }
        if standing.is_empty() {
            let mut requests: Vec<_> = frame
                .into_iter()
                .rev()
                .map(|rule| (RouteNetlinkMessage::DelRule(rule), 0))
                .collect();
            requests.push((RouteNetlinkMessage::DelRoute(route), 0));
            for error in self.send(requests).into_iter().filter_map(Result::err) {
                tracing::debug!(%error, "a part of local delivery's frame was gone");
            }
        }
    }

    fn route(&mut self) -> io::Result<&mut Rtnetlink> {
        match &mut self.route {
            Some(route) => Ok(route),
            closed => Ok(closed.insert(Rtnetlink::open_strict()?)),
        }
    }

    fn fou(&mut self) -> io::Result<&mut Fou> {
        match &mut self.fou {
            Some(fou) => Ok(fou),
            closed => Ok(closed.insert(Fou::open()?)),
        }
    }

    fn send(&mut self, requests: Vec<(RouteNetlinkMessage, u16)>) -> Vec<io::Result<()>> {
        if requests.is_empty() {
            return Vec::new();
        }
        let count = requests.len();
        match self.route() {
            Ok(route) => route.change(requests),
            Err(error) => (0..count).map(|_| Err(super::ports::again(&error))).collect(),
        }
    }

    /// Of all families at once.
    fn rules(&mut self) -> io::Result<Vec<RuleMessage>> {
        let request = RouteNetlinkMessage::GetRule(RuleMessage::default());
        self.route()?.gather(&request, &mut |message| match message {
            RouteNetlinkMessage::NewRule(rule) => Some(rule),
            _ => None,
        })
    }

    fn routed(&mut self, family: Family) -> io::Result<bool> {
        let request = RouteNetlinkMessage::GetRoute(delivery::routes(family));
        match self.route()?.list(&request) {
            Ok(routes) => Ok(routes.iter().any(|message| match message {
                RouteNetlinkMessage::NewRoute(route) => delivery::is_ours(route),
                _ => false,
            })),
            // There is no such table.
            Err(error) if errno(&error) == Some(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// None where the kernel has no family `fou`.
    fn ports(&mut self) -> io::Result<BTreeSet<Port>> {
        let fou = self.fou()?;
        if fou.is_there()? { fou.list() } else { Ok(BTreeSet::new()) }
    }
}

fn new(rule: RuleMessage) -> RouteNetlinkMessage {
    RouteNetlinkMessage::NewRule(rule)
}

/// The same failure for every change.
fn all<T: Copy>(
    changes: &[Change<T>],
    operation: &str,
    settle: &mut impl FnMut(usize, Result<(), FixtureError>),
    error: &io::Error,
) {
    for &(place, ..) in changes {
        settle(place, Err(failed(operation, super::ports::again(error))));
    }
}

fn asking(operation: &'static str) -> impl FnOnce(io::Error) -> FixtureError {
    move |error| failed(operation, error)
}

fn failed(operation: impl Into<String>, source: io::Error) -> FixtureError {
    let operation = operation.into();
    match errno(&source) {
        Some(errno) => FixtureError::Kernel { operation, errno, message: None },
        None => FixtureError::Io { operation, source },
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno)
}

fn no_module(module: &str) -> FixtureError {
    FixtureError::NoModule { module: module.to_owned() }
}

fn undelivered(direction: Direction, packets: &Packets, error: io::Error) -> FixtureError {
    failed(format!("{} the policy rule for {packets}", direction.verb()), error)
}

/// The command that shows the link of our name for a device.
pub(super) fn link_shown_by(device: TunnelDevice, local: IpAddr) -> String {
    links::shown_by(&device::name(device, local))
}
