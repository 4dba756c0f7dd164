//! Example 2: NAT.

use anyhow::ensure;
use lvs_tests::traffic::Held;

use crate::cast::Cast;
use crate::patience::within;
use crate::stage::{Stage, show};
use crate::system::System;

const SERVICE: &str = "211.47.13.234:80";

pub(crate) fn play(stage: Stage, cast: &Cast, system: &dyn System) -> anyhow::Result<()> {
    stage.part("2. NAT: the director translates address and port, both ways");
    stage.say(
        "VIP 211.47.13.234:80 on eth1, 10.0.0.234 on eth0. Real servers: rs2:8080, weight 1, rs3:8080, weight 2.",
    );
    system.apply(stage, "nat.yaml")?;
    let mut held: Vec<Held> = Vec::new();
    hold(stage, cast, &mut held, [4, 8])?;
    show(stage, &cast.director, "ipvsadm -Ln")?;
    show(stage, &cast.director, "ip -brief -4 address show")?;
    let answer = cast.client2.get(SERVICE)?;
    ensure!(
        answer.seen_source.ip().to_string() == "211.47.13.50",
        "{} saw {} instead of the client",
        answer.server,
        answer.seen_source
    );
    stage.say(&format!(
        "{} was asked at {} and saw the client's own address, {}.",
        answer.server, answer.seen_local, answer.seen_source
    ));

    system.set_weight(stage, "nat.yaml", "web-1", 2)?;
    let weight = || {
        let service = cast.director.service(SERVICE)?;
        Some(service.destination("10.0.0.101:8080").weight)
    };
    within("the new weight in the kernel", || match weight() {
        Some(2) => Ok(()),
        other => Err(other),
    })?;
    hold(stage, cast, &mut held, [8, 4])?;
    for connection in &mut held {
        connection.ask()?;
    }
    stage.say(&format!("All {} connections live, those from before the change too.", held.len()));
    system.conditions(stage)
}

/// Twelve connections more, which stay open: wlc evens out what is open, in proportion to the weights.
fn hold(stage: Stage, cast: &Cast, held: &mut Vec<Held>, wanted: [usize; 2]) -> anyhow::Result<()> {
    stage.act("client2", "12 connections, which stay open");
    let shares = stage.requests(12, |_| {
        let mut connection = cast.client2.hold(SERVICE)?;
        let server = connection.ask()?.server;
        held.push(connection);
        Ok(server)
    })?;
    let shares: Vec<usize> = shares.into_values().collect();
    ensure!(shares == wanted, "of 12 connections {wanted:?} were due, the shares are {shares:?}");
    Ok(())
}
