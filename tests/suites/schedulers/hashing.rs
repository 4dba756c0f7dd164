//! sh and mh: a client's address decides.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::Farm;
use lvs_tests::traffic::{Met, by_server};

use crate::schedulers::model::{SourceHash, idle};

/// As many addresses of clients as wanted, always the same ones.
fn clients(count: usize) -> Vec<Ipv4Addr> {
    let mut seed: u32 = 20_261_122;
    let mut all = std::collections::BTreeSet::new();
    while all.len() < count {
        // xorshift32
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        all.insert(Ipv4Addr::from_bits(0xAC14_0000 | (seed & 0xFFFF)));
    }
    all.into_iter().collect()
}

fn sources(clients: &[Ipv4Addr]) -> Vec<String> {
    clients.iter().map(|client| format!("{client}:0")).collect()
}

#[test]
fn a_source_address_meets_the_server_that_its_hash_says() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(5);
        sh_fills_its_table_by_weight_and_is_constant(&mut farm)?;
        sh_fallback_saves_the_clients_of_a_server_of_weight_0(&mut farm)?;
        sh_port_spreads_one_client(&mut farm)?;
        mh_is_constant_even_and_follows_the_weights(&mut farm)?;
        mh_fallback_saves_the_clients_of_a_server_of_weight_0(&mut farm)?;
        mh_port_spreads_one_client(&mut farm)?;
        mh_moves_few_clients_when_a_server_leaves(&mut farm)
    });
}

/// What sh must give these clients, by the kernel's table and order.
fn predicted(farm: &Farm, clients: &[Ipv4Addr], fallback: bool) -> Vec<Met> {
    let servers = idle(farm);
    let table = SourceHash::new(&servers);
    let server =
        |client: &Ipv4Addr| table.server(&servers, *client, 0, fallback).map(str::to_owned);
    clients.iter().map(server).collect()
}

fn sh_fills_its_table_by_weight_and_is_constant(farm: &mut Farm) -> anyhow::Result<()> {
    let clients = clients(200);
    let web = farm.serve("scheduler: sh", &[1, 2, 3, 1, 1]);
    let met = farm.client.met_from(&sources(&clients), &web)?;
    assert_eq!(met, predicted(farm, &clients, false), "{:?}", by_server(&met));
    assert_eq!(by_server(&met).len(), 5, "{:?}", by_server(&met));
    assert_eq!(farm.client.met_from(&sources(&clients), &web)?, met, "the second time");
    // In place, and at once.
    farm.weigh(&[3, 1, 1]);
    let met = farm.client.met_from(&sources(&clients), &web)?;
    assert_eq!(met, predicted(farm, &clients, false), "{:?}", by_server(&met));
    Ok(())
}

fn sh_fallback_saves_the_clients_of_a_server_of_weight_0(farm: &mut Farm) -> anyhow::Result<()> {
    let clients = clients(100);
    let web = farm.serve("scheduler: sh", &[1, 1, 1]);
    farm.weigh(&[1, 0, 1]);
    let without = farm.client.met_from(&sources(&clients), &web)?;
    assert_eq!(without, predicted(farm, &clients, false), "{:?}", by_server(&without));
    assert!(without.contains(&None), "{:?}", by_server(&without));
    farm.change("scheduler: sh, schedulerFlags: [shFallback]");
    let with = farm.client.met_from(&sources(&clients), &web)?;
    assert_eq!(with, predicted(farm, &clients, true), "{:?}", by_server(&with));
    assert!(!with.contains(&None), "{:?}", by_server(&with));
    for (without, with) in without.iter().zip(&with).filter(|(without, _)| without.is_some()) {
        assert_eq!(without, with, "only those without a server go elsewhere");
    }
    Ok(())
}

/// One address, many ports.
fn ports_of_one_client() -> Vec<String> {
    (0..60).map(|number| format!("172.20.0.7:{}", 20_000 + 7 * number)).collect()
}

fn sh_port_spreads_one_client(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: sh", &[1, 1, 1]);
    let from = ports_of_one_client();
    let without = farm.client.met_from(&from, &web)?;
    assert_eq!(by_server(&without).len(), 1, "{:?}", by_server(&without));
    // The same ports again would meet the director's entries of their closed connections.
    let web = farm.serve("scheduler: sh, schedulerFlags: [shPort]", &[1, 1, 1]);
    let with = farm.client.met_from(&from, &web)?;
    let servers = idle(farm);
    let table = SourceHash::new(&servers);
    let predicted: Vec<Met> = (0..60)
        .map(|number| {
            let address = Ipv4Addr::new(172, 20, 0, 7);
            table.server(&servers, address, 20_000 + 7 * number, false).map(str::to_owned)
        })
        .collect();
    assert_eq!(with, predicted, "{:?}", by_server(&with));
    assert_eq!(by_server(&with).len(), 3, "{:?}", by_server(&with));
    Ok(())
}

/// Of 4093 places (CONFIG_IP_VS_MH_TAB_INDEX=12) each of five servers has 818 or 819; a thousand clients fall on them
/// as by lot, with a standard deviation of 13 around 200.
fn mh_is_constant_even_and_follows_the_weights(farm: &mut Farm) -> anyhow::Result<()> {
    let from = sources(&clients(1000));
    let web = farm.serve("scheduler: mh", &[1, 1, 1, 1, 1]);
    let met = farm.client.met_from(&from, &web)?;
    for (server, count) in by_server(&met) {
        assert!(count.abs_diff(200) <= 4 * 13, "{server}: {:?}", by_server(&met));
    }
    assert_eq!(farm.client.met_from(&from, &web)?, met, "the second time");
    farm.weigh(&[1, 1, 2, 1, 5]);
    let met = by_server(&farm.client.met_from(&from, &web)?);
    for (server, wanted) in [("rs1", 100), ("rs2", 100), ("rs3", 200), ("rs4", 100), ("rs5", 500)] {
        assert!(met[server].abs_diff(wanted) <= 4 * 16, "{server}: {met:?}");
    }
    Ok(())
}

fn mh_fallback_saves_the_clients_of_a_server_of_weight_0(farm: &mut Farm) -> anyhow::Result<()> {
    let from = sources(&clients(100));
    let web = farm.serve("scheduler: mh", &[1, 1, 1]);
    let before = farm.client.met_from(&from, &web)?;
    farm.weigh(&[1, 0, 1]);
    let without = farm.client.met_from(&from, &web)?;
    farm.change("scheduler: mh, schedulerFlags: [mhFallback]");
    let with = farm.client.met_from(&from, &web)?;
    for (number, before) in before.iter().enumerate() {
        // The table keeps the place of a server of weight 0 (`last_weight` in ip_vs_mh.c).
        let stays = before.as_deref() != Some("rs2");
        assert_eq!(without[number], before.clone().filter(|_| stays), "{:?}", by_server(&without));
        assert_eq!(with[number] == *before, stays, "{:?}", by_server(&with));
    }
    assert!(without.contains(&None) && !with.contains(&None), "{:?}", by_server(&with));
    Ok(())
}

fn mh_port_spreads_one_client(farm: &mut Farm) -> anyhow::Result<()> {
    let from = ports_of_one_client();
    let web = farm.serve("scheduler: mh", &[1, 1, 1]);
    let without = by_server(&farm.client.met_from(&from, &web)?);
    let web = farm.serve("scheduler: mh, schedulerFlags: [mhPort]", &[1, 1, 1]);
    let with = by_server(&farm.client.met_from(&from, &web)?);
    assert_eq!((without.len(), with.len()), (1, 3), "{without:?} and {with:?}");
    Ok(())
}

/// What consistent hashing is for, and what sh cannot: there the table is dealt out anew, and of the clients whose
/// server stays only those keep it for whom it falls on the same place by chance.
fn mh_moves_few_clients_when_a_server_leaves(farm: &mut Farm) -> anyhow::Result<()> {
    let from = sources(&clients(1000));
    let mut moved = BTreeMap::new();
    for scheduler in ["mh", "sh"] {
        let web = farm.serve(&format!("scheduler: {scheduler}"), &[1, 1, 1, 1, 1]);
        let before = farm.client.met_from(&from, &web)?;
        farm.servers_are(&["weight: 1", "weight: 1", "", "weight: 1", "weight: 1"]);
        let after = farm.client.met_from(&from, &web)?;
        let left = Some("rs3".to_owned());
        assert!(!after.contains(&left) && !after.contains(&None), "{:?}", by_server(&after));
        let stayed = before.iter().zip(&after).filter(|(before, _)| **before != left);
        let (all, moving): (Vec<_>, Vec<_>) = stayed.map(|pair| (pair, pair.0 != pair.1)).unzip();
        let count = moving.iter().filter(|moved| **moved).count();
        eprintln!(
            "{scheduler}: one of five servers left; of {} clients of the others {count} moved",
            all.len()
        );
        moved.insert(scheduler, count);
        // Even again.
        for (server, count) in by_server(&after) {
            assert!(count.abs_diff(250) <= 4 * 14, "{server}: {:?}", by_server(&after));
        }
    }
    // With random permutations of 4093 places 0.7 of a hundred places move on the average of 40 draws, 1.4 at most.
    assert!(moved["mh"] <= 24, "3 of a hundred at most: {moved:?}");
    assert!(moved["sh"] >= 400, "more than half of them: {moved:?}");
    Ok(())
}
