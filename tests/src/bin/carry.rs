//! The thread that carries floating addresses, without the agent around it: `lvs-carry NAME OPTION..`, where NAME is a
//! member's. It ends on SIGTERM, having handed over.
//!
//! --member NAME=ADDRESS        a member
//! --router ID:NAME,NAME:ADDRESS@INTERFACE,..   a virtual router, who carries it in which order, and what
//! --interval MILLISECONDS      between advertisements
//! --preempt SECONDS            after which to take back; without it: never
//! --multicast                  instead of to each member
//! --ours ADDRESS@INTERFACE,..  as if from the journal

use anyhow::{Context as _, bail};
use lvs_agent::failover::{Carrier as _, Handle, WantedRouter};
use lvs_agent::state::HeldAddress;
use lvs_crds::Member;
use lvs_tests::scenario::carrying::{self, want};
use nix::sys::signal::{SigSet, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut ours = BTreeSet::new();
    let own = arguments.next().context("no name")?;
    let mut want = want(&own, Vec::new(), BTreeMap::new());
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{option} wants a value"));
        match option.as_str() {
            "--member" => want.members.push(member(&value()?)?),
            "--router" => want.routers.extend([router(&value()?)?]),
            "--interval" => want.interval = Duration::from_millis(value()?.parse()?),
            "--preempt" => want.preempt = Some(Duration::from_secs_f64(value()?.parse()?)),
            "--multicast" => want.multicast = true,
            "--ours" => ours = addresses(&value()?)?,
            _ => bail!("{option} is no option"),
        }
    }
    // Before the thread starts, which inherits it.
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    terminate.thread_block()?;
    let (news, inbox) = channel();
    let end = news.clone();
    let mut handle = Handle::start(&ours, move || {
        let _ = news.send(false);
    })?;
    std::thread::spawn(move || end.send(terminate.wait().is_ok()));
    handle.want(carrying::wants(1, vec![("group", want)]));
    // What it prints is shown when a test fails.
    while !inbox.recv()? {
        println!("{:?}", handle.report());
    }
    println!("{:?}", handle.figures());
    handle.stop();
    Ok(())
}

fn member(text: &str) -> anyhow::Result<Member> {
    let (name, address) = text.split_once('=').context("NAME=ADDRESS")?;
    Ok(carrying::member(name, address))
}

fn router(text: &str) -> anyhow::Result<(u8, WantedRouter)> {
    let mut parts = text.splitn(3, ':');
    let (Some(id), Some(order), Some(held)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("{text}: ID:NAME,NAME:ADDRESS@INTERFACE,..");
    };
    let order = order.split(',').map(str::to_owned).collect();
    Ok((
        id.parse()?,
        WantedRouter { name: id.to_owned(), order, addresses: addresses(held)?, ill: None },
    ))
}

fn addresses(text: &str) -> anyhow::Result<BTreeSet<HeldAddress>> {
    let held = |text: &str| {
        let (address, interface) = text.split_once('@').context("ADDRESS@INTERFACE")?;
        Ok(HeldAddress { interface: interface.to_owned(), address: address.parse()? })
    };
    text.split(',').map(held).collect()
}
