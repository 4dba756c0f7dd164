//! `make bench`: figures from a real kernel in a guest, printed as tables.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::bail;
use lvs_tests::bed::{Guest, inside, show_command};
use lvs_tests::bench::{Wide, cold_programming};

/// How often the small table is programmed; the one in the middle is printed.
const ROUNDS: usize = 5;
/// How many changes are made through the API server.
const CHANGES: u16 = 1_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        None if !inside() => outside(),
        Some("cold") if inside() => cold(),
        Some("change") if inside() => change(),
        Some("audit") if inside() => audit(),
        _ => bail!("usage: lvs-bench, without arguments; it boots guests and takes some minutes"),
    }
}

fn outside() -> anyhow::Result<()> {
    for (part, guest) in [
        ("cold", Guest::kernel()),
        ("change", Guest::control_plane()),
        ("audit", Guest::control_plane()),
    ] {
        let guest = guest.memory("4G").limit(Duration::from_secs(1800));
        let command: Vec<OsString> = vec![std::env::current_exe()?.into(), part.into()];
        match show_command(&guest, command)? {
            0 => {}
            status => bail!("{part} failed with status {status}: its output is above"),
        }
    }
    Ok(())
}

fn cold() -> anyhow::Result<()> {
    println!(
        "An empty kernel is programmed (a guest overstates each time: the ratio is what counts)"
    );
    println!("table         requests   lvs-ipvs   ipvsadm -R   ratio");
    for (services, rounds) in [(1_000, ROUNDS), (10_000, 1)] {
        let mut measured = Vec::new();
        for _ in 0..rounds {
            measured.push(cold_programming(services, 10)?);
        }
        measured.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let cold = measured[rounds / 2];
        let table = format!("{services} x 10");
        let (ours, theirs) = (milliseconds(cold.ours), milliseconds(cold.ipvsadm));
        let (requests, ratio) = (cold.requests, cold.ratio());
        println!("{table:<12} {requests:>9} {ours:>10} {theirs:>12} {ratio:>7.3}");
    }
    Ok(())
}

fn change() -> anyhow::Result<()> {
    let mut wide = Wide::program(1_000, 10, "60m")?;
    let requests = wide.kernel_requests();
    let latency = wide.measure(CHANGES)?;
    wide.wait_until_read_back();
    let requests = (wide.kernel_requests() - requests) / f64::from(CHANGES);
    println!(
        "\n{CHANGES} changes of a weight through the API server, 1000 x 10 programmed, one after the other"
    );
    println!("API server's answer, half of them within  {:>10}", milliseconds(latency.answer_p50));
    println!("in the kernel, half of them within        {:>10}", milliseconds(latency.p50));
    println!("in the kernel, 99 of 100 within           {:>10}", milliseconds(latency.p99));
    println!("requests to the kernel for each           {requests:>10.1}");
    Ok(())
}

fn audit() -> anyhow::Result<()> {
    let wide = Wide::program(10_000, 10, "2s")?;
    let audits = wide.measure_audits(10);
    println!("\nAn audit for drift, 10000 x 10 programmed");
    println!("time                    {:>10}", milliseconds(audits.time));
    println!("requests to the kernel  {:>10.1}", audits.requests);
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
