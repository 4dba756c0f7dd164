//! `make bench`: figures from a real kernel in a guest, printed as a table.

use std::ffi::OsString;
use std::time::Duration;

use lvs_tests::bed::{Guest, inside, show_command};
use lvs_tests::bench::cold_programming;

/// How often the small table is programmed; the one in the middle is printed.
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    if inside() {
        return cold();
    }
    let guest = Guest::kernel().memory("4G").limit(Duration::from_secs(1800));
    let command = vec![OsString::from(std::env::current_exe()?)];
    std::process::exit(show_command(&guest, command)?)
}

fn cold() -> anyhow::Result<()> {
    println!("Programming an empty kernel (times in ms, in a guest: see the ratio)");
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>8}",
        "table", "requests", "lvs-ipvs", "ipvsadm -R", "ratio"
    );
    for (services, rounds) in [(1_000, ROUNDS), (10_000, 1)] {
        let mut measured = Vec::new();
        for _ in 0..rounds {
            measured.push(cold_programming(services, 10)?);
        }
        measured.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let cold = measured[rounds / 2];
        println!(
            "{:>10} {:>10} {:>10.0} {:>10.0} {:>8.2}",
            format!("{services} x 10"),
            cold.requests,
            cold.ours.as_secs_f64() * 1e3,
            cold.ipvsadm.as_secs_f64() * 1e3,
            cold.ratio()
        );
    }
    Ok(())
}
