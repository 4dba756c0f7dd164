//! Example 1: direct routing.

use std::collections::BTreeMap;

use anyhow::ensure;
use lvs_tests::traffic::Client;
use lvs_tests::wire::Capture;

use crate::cast::{Cast, FIRST_CLIENT};
use crate::patience::within;
use crate::stage::{Stage, show};
use crate::system::System;

const VIP: &str = "192.168.0.10";
const SERVICE: &str = "192.168.0.10:80";

pub(crate) fn play(stage: Stage, cast: &Cast, system: &dyn System) -> anyhow::Result<()> {
    stage.part("1. Direct routing (DR): replies go straight to the client");
    stage.say(
        "VIP 192.168.0.10:80. Real servers: rs1, weight 5, and the director itself, weight 10.",
    );
    system.apply(stage, "dr.yaml")?;
    system.list(stage)?;
    show(stage, &cast.director, "ipvsadm -Ln")?;
    show(stage, &cast.rs1, "ip -brief -4 address show lo")?;
    show(
        stage,
        &cast.client1,
        "curl -s http://192.168.0.10/   # who answers, whom it sees, where",
    )?;

    let wire = Capture::start(&cast.client1);
    let shares = clients(stage, cast, 0)?;
    ensure!(shares == of(20, 10), "weights 10 and 5, but the shares are {shares:?}");
    tell_wire(stage, cast, &wire)?;
    stage.act("client1", "6 connections from one address (persistence: 300 s)");
    let same = stage.requests(6, |_| Ok(cast.client1.get(SERVICE)?.server))?;
    ensure!(same.len() == 1, "persistence is on, and one client met {same:?}");

    system.set_weight(stage, "dr.yaml", "web-1", 20)?;
    let weight = || {
        let service = cast.director.service(SERVICE)?;
        Some(service.destination("192.168.0.101:80").weight)
    };
    within("the new weight in the kernel", || match weight() {
        Some(20) => Ok(()),
        other => Err(other),
    })?;
    let shares = clients(stage, cast, 30)?;
    ensure!(shares == of(10, 20), "weights 10 and 20, but the shares are {shares:?}");
    system.delete(stage, "dr.yaml")?;
    within("the VIP is gone from director and rs1", || {
        let held = [&cast.director, &cast.rs1].map(|node| node.addresses());
        let held: Vec<_> = held.iter().flatten().filter(|a| a.contains(" 192.168.0.10/")).collect();
        if held.is_empty() { Ok(()) } else { Err(format!("{held:?}")) }
    })?;
    show(stage, &cast.director, "ip -brief -4 address show eth0")
}

/// Thirty clients that have not been here before, one connection each.
fn clients(stage: Stage, cast: &Cast, first: usize) -> anyhow::Result<BTreeMap<String, usize>> {
    stage.act("client1", "30 new addresses, one connection each");
    stage.requests(30, |number| {
        let address = FIRST_CLIENT + first + number;
        let client = Client::new(&cast.client1).from(&format!("192.168.0.{address}:0"));
        Ok(client.get(SERVICE)?.server)
    })
}

/// Who sent the replies of the VIP, and who answers ARP for it.
fn tell_wire(stage: Stage, cast: &Cast, wire: &Capture) -> anyhow::Result<()> {
    let (rs1, director) = (cast.rs1.mac("eth0"), cast.director.mac("eth0"));
    let frames = wire.frames();
    let replies = frames.iter().filter(|f| !f.outgoing && f.source_mac == rs1 && f.is_from(VIP));
    let replies = replies.count();
    ensure!(replies > 0, "no reply came straight from rs1");
    let owners = cast.client1.who_has(VIP, "eth0");
    ensure!(
        owners.iter().eq([director]),
        "ARP for {VIP} is not answered by the director alone: {owners:?}"
    );
    stage.say(&format!(
        "On client1's wire: {replies} packets from {VIP} with rs1's MAC {rs1}: past the director.\n\
         ARP for {VIP} is answered by the director alone, {director}."
    ));
    Ok(())
}

fn of(director: usize, rs1: usize) -> BTreeMap<String, usize> {
    [("director".to_owned(), director), ("rs1".to_owned(), rs1)].into()
}
