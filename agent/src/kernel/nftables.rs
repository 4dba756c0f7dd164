//! nftables over netlink: marks, masquerading and segment sizes in one table of our own. No other table is touched.
//!
//! Each fixture is an element of a set or map, so that a packet costs one lookup however many there are, and a change one
//! message. A set's keys are ranges (address, protocol, port), which needs Linux 5.6.

mod arrivals;
mod chain;
mod clash;
mod element;
mod look;
mod message;
mod plan;
mod rule;
mod ruleset;
#[cfg(test)]
mod tests;
mod watch;

use super::FixtureError;
use super::netlink::Netlink;
use super::ports::Direction;
use crate::state::Fixture;
use lvs_ipvs::Errno;
use message::{ANY_FAMILY, Attributes, INET, IPV4, IPV6, Kind, Message};
use plan::{Cause, Change, Known, Plan, plan};
use ruleset::{COUNTER_OBJECT, FOREIGN_COUNTERS, Part, TABLE, message, named};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

pub use watch::removals;

/// What shows our table, or somebody else's of that name.
pub(super) const SHOW: &str = "nft list table inet kube-lvs";
/// Chains of others that filter what is forwarded: family, table, chain. iptables-nft's, and so those of kube-proxy, ufw and
/// Docker; firewalld's (its core/nftables.py); and what Debian's /etc/nftables.conf calls it.
const FILTERS: [(u8, &str, &str); 4] = [
    (IPV4, "filter", "FORWARD"),
    (IPV6, "filter", "FORWARD"),
    (INET, "firewalld", "filter_FORWARD"),
    (INET, "filter", "forward"),
];
/// The tables of iptables-legacy that are in use; its rules are not seen by nftables.
const LEGACY_TABLES: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// nftables of the network namespace of the thread that uses it.
#[derive(Debug, Default)]
pub struct Nftables {
    /// Opened when it is first needed.
    socket: Option<Netlink<Message>>,
    /// Messages sent by sockets that are closed.
    sent: u64,
    /// The table as of the last look and what we changed since.
    known: Option<Known>,
    /// Whether the kernel has nftables, once it had.
    there: bool,
}

/// Why a transaction did not happen.
enum Failure {
    /// These changes are to blame.
    Changes(BTreeMap<usize, FixtureError>),
    /// It is not known which.
    Whole(FixtureError),
    /// Nothing can be asked at all.
    Unreachable(FixtureError),
}

impl Nftables {
    /// Nothing is opened or asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Messages sent so far.
    pub fn sent(&self) -> u64 {
        self.sent + self.socket.as_ref().map_or(0, Netlink::sent)
    }

    /// What stands in our table. Of a part of which somebody has taken away a rule or chain, nothing stands: the next change
    /// makes it anew. Nothing stands in a kernel without nftables.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn standing(&mut self) -> Result<BTreeSet<Fixture>, FixtureError> {
        self.known = None;
        let known = self.known()?;
        let whole = known.parts.iter().filter(|(part, _)| !known.broken.contains(part));
        Ok(whole.flat_map(|(_, fixtures)| fixtures).copied().collect())
    }

    /// Makes and removes fixtures in one transaction, a result each. When the kernel refuses it, those to blame are left out
    /// and the rest is tried again. Making what stands and removing what does not succeeds.
    ///
    /// Our table comes with the first fixture and goes with the last.
    pub fn change(&mut self, changes: &[(Direction, Fixture)]) -> Vec<Result<(), FixtureError>> {
        let mut failed = BTreeMap::new();
        let mut pending: Vec<Change> = Vec::new();
        for (place, (direction, fixture)) in changes.iter().enumerate() {
            if element::request(Kind::NewElement, fixture).is_some() {
                pending.push((place, *direction, *fixture));
            } else {
                failed.insert(place, refused(fixture, Errno::EINVAL));
            }
        }
        self.settle(pending, &mut failed);
        (0..changes.len()).map(|place| failed.remove(&place).map_or(Ok(()), Err)).collect()
    }

    fn settle(&mut self, mut pending: Vec<Change>, failed: &mut BTreeMap<usize, FixtureError>) {
        while !pending.is_empty() {
            // What we know may be old: somebody else may have removed our table.
            let fresh = self.known.is_none();
            match self.attempt(&pending) {
                Ok(()) => return,
                Err(Failure::Unreachable(error)) => {
                    failed.extend(pending.iter().map(|(place, ..)| (*place, error.again())));
                    return;
                }
                Err(_) if !fresh => self.known = None,
                Err(Failure::Changes(errors)) => {
                    pending.retain(|(place, ..)| !errors.contains_key(place));
                    failed.extend(errors);
                }
                Err(Failure::Whole(error)) => {
                    if let [(place, ..)] = pending.as_slice() {
                        failed.insert(*place, error);
                        return;
                    }
                    tracing::warn!(%error, "nftables changes are tried one by one");
                    for change in pending {
                        self.settle(vec![change], failed);
                    }
                    return;
                }
            }
        }
    }

    fn attempt(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let Plan { messages, after } = plan(self.known().map_err(Failure::Unreachable)?, changes);
        if messages.is_empty() {
            return Ok(());
        }
        let causes: Vec<_> = messages.iter().map(|(_, _, cause)| *cause).collect();
        // The header of both names the subsystem.
        let frame = |kind| (Message { kind, family: ANY_FAMILY, attributes: Attributes::new() }, 0);
        let transaction = std::iter::once(frame(Kind::Begin))
            .chain(messages.into_iter().map(|(message, flags, _)| (message, flags)))
            .chain(std::iter::once(frame(Kind::End)));
        let errors = match self.ask(|socket| socket.transact(transaction)) {
            Ok(errors) if errors.is_empty() => {
                self.known = Some(after);
                return Ok(());
            }
            Ok(errors) => errors,
            Err(error) => {
                // It may have happened nevertheless.
                self.known = None;
                return Err(if is_absent(&error) {
                    Failure::Unreachable(FixtureError::NoNftables)
                } else {
                    Failure::Whole(socket_failed("change nftables", error))
                });
            }
        };
        Err(blame(changes, &causes, &errors))
    }

    /// Packets that arrived for a marked service with a mark that was not zero, since our marks' part of the table was made.
    /// Ours has replaced it.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn foreign_marks(&mut self) -> Result<u64, FixtureError> {
        let mut packets = 0;
        for counter in FOREIGN_COUNTERS {
            // NFTA_OBJ_TYPE
            let request = message(Kind::GetObject, named(counter).number(3, COUNTER_OBJECT));
            let answer = match self.ask(|socket| socket.get(&request)) {
                Err(error) if is_missing(&error) || is_absent(&error) => continue,
                answer => answer
                    .map_err(|source| socket_failed("read the counter of foreign marks", source))?,
            };
            // NFTA_OBJ_DATA, NFTA_COUNTER_PACKETS
            let counted = answer.and_then(|it| it.attributes.view().nest(4)?.long(2));
            packets += counted.unwrap_or_default();
        }
        Ok(packets)
    }

    /// Whether others filter what is forwarded, as far as their chains' names tell: most such rules drop what connection
    /// tracking calls invalid, or let what it calls established pass.
    pub fn drops_invalid(&mut self) -> bool {
        let legacy = |path: &&str| {
            let tables = std::fs::read_to_string(path).unwrap_or_default();
            tables.lines().any(|table| table == "filter")
        };
        LEGACY_TABLES.iter().any(legacy)
            || FILTERS.iter().any(|(family, table, chain)| {
                // NFTA_CHAIN_TABLE, _NAME
                let attributes = Attributes::new().text(1, table).text(3, chain);
                let request = Message { kind: Kind::GetChain, family: *family, attributes };
                let found = self.ask(|socket| socket.get(&request));
                found.is_ok_and(|chain| chain.is_some())
            })
    }

    /// The rules in other tables that set or match one of these marks: for each mark, one of them by table, chain and
    /// handle. It reads all rules of the node, which is slow where there are many: not for a short period.
    ///
    /// Seen are rules of nftables and of iptables-nft with the mark itself in them; not those of iptables-legacy, nor marks
    /// out of a map or from a program (SO_MARK).
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn clashes(
        &mut self,
        marks: &BTreeSet<u32>,
    ) -> Result<BTreeMap<u32, String>, FixtureError> {
        if marks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let request =
            Message { kind: Kind::GetRule, family: ANY_FAMILY, attributes: Attributes::new() };
        let mut pick = |it: Message| {
            let rule = it.attributes.view();
            let (table, chain) = (rule.text(1)?, rule.text(2)?);
            if it.family == INET && table == TABLE {
                return None;
            }
            let found = clash::clashing(rule.nest(4)?, marks);
            let family = family_name(it.family);
            let handle = rule.long(3).unwrap_or_default();
            let told = move |does| {
                format!(
                    "a rule in table {family} {table}, chain {chain}, handle {handle} {does} it"
                )
            };
            let found: Vec<_> = found.into_iter().map(|(mark, does)| (mark, told(does))).collect();
            (!found.is_empty()).then_some(found)
        };
        match self.ask(|socket| socket.gather(&request, &mut pick)) {
            Ok(found) => Ok(found.into_iter().flatten().collect()),
            Err(error) if is_absent(&error) => Ok(BTreeMap::new()),
            Err(source) => Err(socket_failed("list the rules of nftables", source)),
        }
    }

    fn known(&mut self) -> Result<&Known, FixtureError> {
        let known = match self.known.take() {
            Some(known) => known,
            None => match self.look() {
                Ok(known) => known,
                Err(error) if is_absent(&error) => Known::default(),
                Err(source) => {
                    return Err(socket_failed("read our table in nftables", source));
                }
            },
        };
        Ok(self.known.insert(known))
    }

    /// Asks on the socket; one that has become useless is opened anew next time.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut Netlink<Message>) -> io::Result<T>,
    ) -> io::Result<T> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            closed => closed.insert(Netlink::open()?),
        };
        let answer = ask(socket);
        // After a timeout the socket is suspect; a refusal has an errno.
        if answer.as_ref().is_err_and(|error| error.raw_os_error().is_none()) {
            self.sent += socket.sent();
            self.socket = None;
        }
        answer
    }
}

/// Whose fault the errors are. They are by place in the transaction, in which the first message only opens it.
fn blame(changes: &[Change], causes: &[Cause], errors: &BTreeMap<usize, i32>) -> Failure {
    let mut blamed: BTreeMap<usize, FixtureError> = BTreeMap::new();
    for (place, code) in errors {
        let errno = Errno(*code);
        let cause = place.checked_sub(1).and_then(|place| causes.get(place));
        match cause {
            None if matches!(errno.0, EOPNOTSUPP) => {
                return Failure::Unreachable(FixtureError::NoNftables);
            }
            Some(Cause::Table) if matches!(errno.0, EOPNOTSUPP | EAFNOSUPPORT) => {
                return Failure::Unreachable(FixtureError::NoNftables);
            }
            None | Some(Cause::Table) => return whole(errno),
            Some(Cause::Part(part)) => {
                for (place, _, fixture) in changes {
                    if Part::of(fixture) == Some(*part) {
                        let refused = || part_refused(*part, fixture, errno);
                        blamed.entry(*place).or_insert_with(refused);
                    }
                }
            }
            Some(Cause::Change(it)) => {
                if let Some((_, _, fixture)) = changes.iter().find(|(place, ..)| place == it) {
                    blamed.entry(*it).or_insert_with(|| refused(fixture, errno));
                }
            }
        }
    }
    if blamed.is_empty() {
        return whole(Errno(errors.values().next().copied().unwrap_or_default()));
    }
    Failure::Changes(blamed)
}

fn refused(fixture: &Fixture, errno: Errno) -> FixtureError {
    let set = element::set(fixture).unwrap_or("none");
    let operation = format!("change the set {set} in nftables' table {TABLE}");
    FixtureError::Kernel { operation, errno, message: None }
}

/// The kernel loads modules itself, where it has them: a chain's type and expressions that it does not find are missing.
fn part_refused(part: Part, fixture: &Fixture, errno: Errno) -> FixtureError {
    match (part, errno) {
        (Part::Masquerade | Part::AllPortsMasquerade, Errno::ENOENT) => {
            FixtureError::NoModule { module: "nft_masq".into() }
        }
        (Part::UnknownReplies | Part::Untracked | Part::Arrivals, Errno::ENOENT) => {
            FixtureError::NoModule { module: "nft_ct".into() }
        }
        (Part::NetworkMarks, Errno::ENOENT) => {
            FixtureError::NoModule { module: "nft_fib_inet".into() }
        }
        _ => refused(fixture, errno),
    }
}

fn whole(errno: Errno) -> Failure {
    let operation = format!("change nftables' table {TABLE}");
    Failure::Whole(FixtureError::Kernel { operation, errno, message: None })
}

fn socket_failed(operation: &str, source: io::Error) -> FixtureError {
    let operation = operation.to_owned();
    match source.raw_os_error().map(Errno) {
        Some(errno) => FixtureError::Kernel { operation, errno, message: None },
        None => FixtureError::Io { operation, source },
    }
}

const EOPNOTSUPP: i32 = 95;
const EAFNOSUPPORT: i32 = 97;

fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOENT.0)
}

/// No netfilter over netlink at all, or in it no nftables (nfnetlink_rcv_msg: EINVAL).
fn is_absent(error: &io::Error) -> bool {
    let codes = [Errno::EPROTONOSUPPORT.0, Errno::EINVAL.0, EOPNOTSUPP, EAFNOSUPPORT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// As nft calls it.
fn family_name(family: u8) -> &'static str {
    match family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}
