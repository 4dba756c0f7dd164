//! What is told of what was met: failures by name, successes as one statement; its size does not grow with the services.

use super::{Machine, Service};
use crate::probe::history::Trouble;
use crate::probe::{Asks, Report};
use lvs_crds::{CANNOT_ASK, MAX_REPORTED, Probes, Unanswered};
use lvs_resolve::Question;
use lvs_vrrp::Mac;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What was told before, of a DirectorGroup, and stays while it is true.
#[derive(Debug, Default)]
pub(in crate::probe) struct Past {
    versions: BTreeMap<String, u64>,
    medians: BTreeMap<String, i64>,
}

impl Past {
    /// What was told of the groups of these is no longer so: something has to be asked for the first time.
    pub(super) fn begin<'a>(&mut self, asks: impl Iterator<Item = &'a Asks>) {
        for asks in asks {
            self.versions.remove(&asks.group);
        }
    }
}

/// Questions of one VIP: those that were asked, and the words of those that failed.
#[derive(Default)]
struct Vip {
    asked: usize,
    failed: BTreeMap<Question, (String, String)>,
    barred: BTreeMap<Question, String>,
}

#[derive(Default)]
struct Group {
    vips: BTreeMap<IpAddr, Vip>,
    incomplete: bool,
    took: Vec<i64>,
}

pub(super) fn report(machine: &mut Machine) -> Report {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for asks in machine.owners.values() {
        let group = groups.entry(asks.group.clone()).or_default();
        for (question, why) in &asks.barred {
            let vip = group.vips.entry(question.address).or_default();
            vip.barred.insert(*question, why.clone());
        }
        let ours = |it: &&Question| !machine.held.contains(&it.address);
        for question in asks.questions.keys().filter(ours) {
            let Some(service) = machine.services.get(question) else { continue };
            let vip = group.vips.entry(question.address).or_default();
            vip.asked += 1;
            group.incomplete |= !service.asked;
            if let Some(word) = word(machine, asks, question, service) {
                vip.failed.insert(*question, word);
            } else if let Some(took) = service.took {
                group.took.push(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
            }
        }
    }
    let version = machine.version;
    machine.past.versions.retain(|name, _| groups.contains_key(name));
    machine.past.medians.retain(|name, _| groups.contains_key(name));
    let tell = |(name, group): (String, Group)| {
        let probes = tell(&name, group, version, &mut machine.past);
        (name, probes)
    };
    groups.into_iter().map(tell).collect()
}

fn tell(name: &str, mut group: Group, version: u64, past: &mut Past) -> Probes {
    if !group.incomplete {
        past.versions.insert(name.to_owned(), version);
        group.took.sort_unstable();
        if let Some(median) = group.took.get(group.took.len() / 2) {
            past.medians.entry(name.to_owned()).or_insert(*median);
        }
    }
    let (mut failed, mut barred) = (Vec::new(), Vec::new());
    let (mut services, mut count) = (0, 0);
    for (address, vip) in group.vips {
        services += vip.asked;
        count += vip.failed.len();
        let all = vip.failed.len() == vip.asked && vip.barred.is_empty();
        entries(address, all, vip.failed, &mut failed);
        let refused = vip.barred.into_iter();
        let refused = refused.map(|(it, why)| (it, (CANNOT_ASK.to_owned(), why))).collect();
        entries(address, vip.asked == 0, refused, &mut barred);
    }
    // What is wrong comes before what is not known.
    failed.append(&mut barred);
    let unlisted: usize = failed.iter().skip(MAX_REPORTED).map(|(_, stands_for)| *stands_for).sum();
    Probes {
        group: name.to_owned(),
        resource_version: past.versions.get(name).map(ToString::to_string),
        services: number(services),
        unanswered_count: number(count),
        unanswered: failed.into_iter().take(MAX_REPORTED).map(|(entry, _)| entry).collect(),
        unlisted: number(unlisted),
        microseconds: past.medians.get(name).copied(),
    }
}

/// One for the whole VIP where all of it is alike, else one a port; with how many services each stands for.
fn entries(
    address: IpAddr,
    all: bool,
    words: BTreeMap<Question, (String, String)>,
    into: &mut Vec<(Unanswered, usize)>,
) {
    let entry = |port, (reason, message): (String, String)| Unanswered {
        address: address.to_string(),
        port,
        reason,
        message,
    };
    let alike = words.values().next().filter(|first| words.values().all(|other| other == *first));
    if let Some(first) = alike.filter(|_| all && words.len() > 1) {
        into.push((entry(None, first.clone()), words.len()));
        return;
    }
    let one =
        |(question, word): (Question, _)| (entry(Some(format!("TCP/{}", question.port)), word), 1);
    into.extend(words.into_iter().map(one));
}

/// Reason and message of what is wrong with a service.
fn word(
    machine: &Machine,
    asks: &Asks,
    question: &Question,
    service: &Service,
) -> Option<(String, String)> {
    let mac = machine.neighbors.known(&service.way, question.address);
    let who = || mac.map_or_else(|| "whoever has it".to_owned(), |mac| named(mac, asks));
    let (reason, message) = match service.history.trouble() {
        None if machine.paths.is_down(question.address, mac) => {
            ("NoAnswer", format!("no answer from {}, as to all that was asked there", who()))
        }
        None => return None,
        Some(Trouble::Silence) => ("NoAnswer", format!("no answer from {}", who())),
        Some(Trouble::NoNeighbor) => {
            let how = if question.address.is_ipv6() { "neighbour discovery" } else { "ARP" };
            ("NoNeighbor", format!("nobody answers {how} for {}", question.address))
        }
        Some(Trouble::Refused) => {
            let text = format!(
                "the connection to {} was refused: a real server does not listen there, or the director does not balance it",
                who()
            );
            ("Refused", text)
        }
        Some(Trouble::Rejected { by, kind }) => {
            ("Rejected", format!("{by} answers by ICMP: {}", icmp(by, kind)))
        }
        Some(Trouble::Partly { failed, of }) => {
            let text = format!(
                "{failed} of {of} connections by way of {} were not answered: see that each real server is well",
                who()
            );
            ("PartlyAnswered", text)
        }
    };
    Some((reason.to_owned(), message))
}

/// A director by its name; anybody else by the MAC address alone.
fn named(mac: Mac, asks: &Asks) -> String {
    let text = crate::state::Mac(mac);
    match asks.directors.get(&mac) {
        Some(name) => name.clone(),
        None if asks.directors.is_empty() => text.to_string(),
        None => format!("{text}, which is no director's"),
    }
}

/// Of RFC 792, RFC 1122, RFC 1812 and RFC 4443.
fn icmp(by: IpAddr, (kind, code): (u8, u8)) -> String {
    let known = match (by.is_ipv6(), code) {
        (false, 0) | (true, 0) => "network unreachable",
        (false, 1) | (true, 3) => "host unreachable",
        (false, 3) | (true, 4) => "port unreachable",
        (false, 9 | 10 | 13) | (true, 1) => "administratively prohibited",
        _ => return format!("type {kind} code {code}"),
    };
    known.to_owned()
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
