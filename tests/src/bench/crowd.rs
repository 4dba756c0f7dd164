//! What directors say to each other when there are as many as a group can have, and how soon a thousand VIPs answer
//! elsewhere. The threads of all directors are this process's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lvs_agent::failover::{Carrier as _, Handle, WantedRouter};
use lvs_agent::state::HeldAddress;
use lvs_crds::{DirectorGroup, DirectorGroupSpec, DirectorGroupStatus, VirtualRouter};
use lvs_resolve::spread::{Floating, Spread, wanted};

use crate::net::{Link, Node};
use crate::scenario::carrying::{self, member, want};
use crate::traffic::Pinger;

/// The default profile's.
const INTERVAL: Duration = Duration::from_millis(90);
const PATIENCE: Duration = Duration::from_secs(60);
/// How many of the VIPs are asked, the first and the last among them, and how often.
const ASKED: usize = 40;
const EVERY: Duration = Duration::from_millis(20);
/// Until who lost its cables has lost its addresses, and who has them has told of them often enough.
const SETTLED: Duration = Duration::from_secs(6);

/// What one director of many says and hears while nothing happens, on average.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// Advertisements a second, each to all the others.
    pub said: f64,
    /// Packets a second.
    pub heard: f64,
    /// Changes of who carries what, of all directors: none has a reason.
    pub transitions: u64,
}

/// Lets so many directors share so many VIPs, and listens for `time`.
///
/// # Errors
/// When they do not come to rest.
pub fn crowd(directors: u8, vips: u16, time: Duration) -> anyhow::Result<Talk> {
    let lan = Link::new("lan");
    let names: Vec<String> = (1..=directors).map(|number| format!("d{number:02}")).collect();
    let group = group(&names)?;
    let spread = Spread::new(&group).context("several directors share")?;
    let routers = routers(&spread, vips)?;
    let mut nodes = Vec::new();
    for (name, host) in names.iter().zip(1..) {
        let node = Node::new(name).on(&lan, "eth0", &format!("10.1.0.{host}/16"));
        let handle = node.run(|| Handle::start(&BTreeSet::new(), || ()))?;
        nodes.push((node, handle));
    }
    let members: Vec<_> = group.status.iter().flat_map(|it| it.members.clone()).collect();
    for (name, (_, handle)) in names.iter().zip(&mut nodes) {
        let want = want(name, members.clone(), routers.clone());
        handle.want(carrying::wants(1, vec![("group", want)]));
    }
    let start = Instant::now();
    let held = |nodes: &[(Node, Handle)]| -> Vec<usize> {
        nodes.iter().map(|(_, handle)| handle.report().held.len()).collect()
    };
    while held(&nodes).iter().sum::<usize>() != usize::from(vips) {
        ensure!(start.elapsed() < PATIENCE, "VIPs at each: {:?}", held(&nodes));
        sleep(Duration::from_millis(100));
    }
    sleep(SETTLED);
    let counted = || {
        let of = |(said, heard, transitions), (_, handle): &(Node, Handle)| {
            let figures = handle.figures();
            (said + figures.sent, heard + figures.received, transitions + figures.transitions)
        };
        nodes.iter().fold((0, 0, 0), of)
    };
    let (said, heard, transitions) = counted();
    sleep(time);
    let then = counted();
    let each = |count: u64| count as f64 / time.as_secs_f64() / f64::from(directors);
    Ok(Talk {
        said: each(then.0 - said),
        heard: each(then.1 - heard),
        transitions: then.2 - transitions,
    })
}

/// How long VIPs were silent when their director's cable was pulled, from the last answer to the next, of one trial after the
/// other.
///
/// # Errors
/// When one does not answer any more.
pub fn move_all(vips: u16, trials: u32) -> anyhow::Result<Vec<Duration>> {
    let lan = Link::new("lan");
    let client = Node::new("client").on(&lan, "eth0", "10.1.0.50/16");
    let start = |name: &str, host: u8| -> anyhow::Result<(Node, Handle)> {
        let node = Node::new(name).on(&lan, "eth0", &format!("10.1.0.{host}/16"));
        let mut handle = node.run(|| Handle::start(&BTreeSet::new(), || ()))?;
        let all = WantedRouter {
            name: "a/0".to_owned(),
            order: vec!["a".into(), "b".into()],
            addresses: (0..vips).map(held).collect(),
            ill: None,
        };
        let members = vec![member("a", "10.1.0.1"), member("b", "10.1.0.2")];
        handle.want(carrying::wants(1, vec![("group", want(name, members, [(10, all)].into()))]));
        Ok((node, handle))
    };
    let pair = [start("a", 1)?, start("b", 2)?];
    let holds = |index: usize| pair[index].1.report().held.len() == usize::from(vips);
    let mut silences = Vec::new();
    let mut holder = 0;
    let step = usize::from(vips).div_ceil(ASKED - 1).max(1);
    let mut asked: Vec<u16> = (0..vips).step_by(step).collect();
    asked.push(vips - 1);
    let asked: Vec<Ipv4Addr> = asked.into_iter().map(vip).collect();
    for trial in 0..trials {
        let since = Instant::now();
        while !holds(holder) || holds(1 - holder) {
            ensure!(since.elapsed() < PATIENCE, "trial {trial}: VIPs are nowhere, or at both");
            sleep(Duration::from_millis(20));
        }
        sleep(SETTLED);
        let pinger = Pinger::start(&client, &asked, EVERY)?;
        sleep(Duration::from_millis(500) + INTERVAL * trial / trials);
        pair[holder].0.unplug("eth0");
        sleep(Duration::from_secs(2));
        let answers = pinger.end();
        for address in &asked {
            let heard = answers.iter().filter(|it| it.address == *address);
            let heard: Vec<Instant> = heard.map(|it| it.answered).collect();
            let gaps = heard.windows(2).map(|two| two[1].saturating_duration_since(two[0]));
            silences.push(gaps.max().with_context(|| format!("{address} is silent"))?);
        }
        holder = 1 - holder;
        sleep(SETTLED);
        pair[1 - holder].0.plug("eth0");
    }
    silences.sort();
    Ok(silences)
}

fn vip(number: u16) -> Ipv4Addr {
    Ipv4Addr::from(0x0a01_1000 + u32::from(number))
}

fn held(number: u16) -> HeldAddress {
    HeldAddress { interface: "eth0".to_owned(), address: IpAddr::from(vip(number)).into() }
}

/// A group with all the virtual routers that so many directors have.
fn group(names: &[String]) -> anyhow::Result<DirectorGroup> {
    let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
    let routers = wanted(&borrowed).into_iter().zip(1..);
    let routers =
        routers.map(|((home, number), id)| VirtualRouter { id, home: home.to_owned(), number });
    let members = names
        .iter()
        .zip(1..)
        .map(|(name, host): (&String, u8)| member(name, &format!("10.1.0.{host}")));
    let status = DirectorGroupStatus {
        members: members.collect(),
        virtual_routers: routers.collect(),
        presence_id: Some(250),
        ..DirectorGroupStatus::default()
    };
    let mut group = DirectorGroup::new("group", DirectorGroupSpec::default());
    group.status = Some(status);
    Ok(group)
}

/// By their ids.
fn routers(spread: &Spread<'_>, vips: u16) -> anyhow::Result<BTreeMap<u8, WantedRouter>> {
    let mut routers = BTreeMap::new();
    for router in spread.routers() {
        let order = spread.order(router).into_iter().map(str::to_owned).collect();
        let addresses = BTreeSet::new();
        let name = format!("{}/{}", router.home, router.number);
        routers
            .insert(u8::try_from(router.id)?, WantedRouter { name, order, addresses, ill: None });
    }
    for number in 0..vips {
        let found = spread.router_of(Floating::Vip(vip(number).into()));
        let id = u8::try_from(found.context("a virtual router")?.id)?;
        routers.entry(id).or_default().addresses.insert(held(number));
    }
    Ok(routers)
}
