//! `nft flush ruleset`, as a reload of nftables.service does it, under load: our table is back at once.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use lvs_tests::bed::in_guest;
use lvs_tests::wait_for;

use super::{Ground, WAYS, guest};

/// The promise.
const BACK: Duration = Duration::from_millis(200);

#[test]
fn a_flushed_ruleset_is_made_good_at_once_and_connections_live() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let (mut ground, _) = Ground::new(None);
        let director = ground.director().clone();
        ground.apply(&WAYS);
        let table = || director.sh("nft list table inet kube-lvs");
        let whole = table()?;
        for flush in [
            "nft flush ruleset",
            "nft delete table inet kube-lvs",
            "nft flush chain inet kube-lvs untracked",
        ] {
            let mut held = Vec::new();
            for way in WAYS {
                held.push((way, ground.world.client.hold(&format!("{}:80", way.vip()))?));
            }
            director.sh(flush)?;
            let gone = Instant::now();
            wait_for(&format!("back after {flush}"), Duration::from_secs(5), || {
                let found = table()?;
                anyhow::ensure!(found.lines().count() == whole.lines().count(), "{found}");
                Ok(())
            });
            let took = gone.elapsed();
            println!("{flush}: back after {took:?}");
            assert!(took <= BACK, "{flush}: {took:?}");
            for (way, held) in &mut held {
                held.ask().with_context(|| format!("{way:?} after {flush}"))?;
            }
            assert_eq!(ground.served(), WAYS, "after {flush}");
        }
        Ok(())
    });
}
