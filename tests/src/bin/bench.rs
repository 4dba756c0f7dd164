//! `make bench`: figures from a real kernel in a guest, printed as tables.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::bail;
use lvs_tests::bed::{Guest, inside, show_command};
use lvs_tests::bench::{self, Filling, Stand, Wide, cold_programming};

/// Each in a guest of its own.
const PARTS: [&str; 5] = ["cold", "change", "audit", "connections", "tracking"];
/// How often the small table is programmed; the one in the middle is printed.
const ROUNDS: usize = 5;
/// How many changes are made through the API server.
const CHANGES: u16 = 1_000;
/// Sizes of the table of connections, as powers of two: the kernel's default and the largest of Linux 6.12.
const TABLE_BITS: [u8; 2] = [12, 20];
/// How many connections are in it. The first is what the others are compared with.
const CONNECTIONS: [u32; 5] = [1_000, 10_000, 32_768, 100_000, 1_000_000];
/// Connections of the table of connection tracking: below its default limit in a small guest.
const TRACKED: u32 = 10_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match (inside(), arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()) {
        (true, ["cold"]) => cold(),
        (true, ["change"]) => change(),
        (true, ["audit"]) => audit(),
        (true, ["connections"]) => connections(),
        (true, ["tracking"]) => tracking(),
        (false, []) => PARTS.iter().try_for_each(|part| outside(part)),
        (false, [part]) if PARTS.contains(part) => outside(part),
        _ => bail!(
            "usage: lvs-bench [{}]; it boots guests and takes some minutes",
            PARTS.join(" | ")
        ),
    }
}

fn outside(part: &str) -> anyhow::Result<()> {
    let guest = if part == "change" { Guest::control_plane() } else { Guest::kernel() };
    let guest = guest.memory("3G").limit(Duration::from_secs(1800));
    if part != "connections" {
        return boot(&guest, part);
    }
    TABLE_BITS.iter().try_for_each(|bits| {
        boot(&guest.clone().parameter(&format!("ip_vs.conn_tab_bits={bits}")), part)
    })
}

fn boot(guest: &Guest, part: &str) -> anyhow::Result<()> {
    let command: Vec<OsString> = vec![std::env::current_exe()?.into(), part.into()];
    match show_command(guest, command)? {
        0 => Ok(()),
        status => bail!("{part} failed with status {status}: its output is above"),
    }
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
    let mut wide = Wide::program(1_000, 10)?;
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
    let audit = bench::audit(10_000, 10)?;
    println!("\nAn audit for drift, 10000 x 10 programmed");
    println!("time                    {:>10}", milliseconds(audit.time));
    println!("requests to the kernel  {:>10.1}", audit.requests);
    Ok(())
}

fn connections() -> anyhow::Result<()> {
    let mut filling = Filling::new()?;
    filling.program()?;
    let measured = filling.measure(&CONNECTIONS)?;
    let Some(first) = measured.first() else { return Ok(()) };
    println!(
        "\nTCP connections in a table of {} buckets, and a packet of one of them beside its time at {}",
        first.buckets, first.connections
    );
    println!("connections  a bucket  bytes each   opening    packet   ratio");
    for filled in &measured {
        let (load, each) = (filled.load(), filled.bytes / filled.connections);
        let (opening, packet) = (microseconds(filled.opening), microseconds(filled.packet));
        let ratio = filled.packet.as_secs_f64() / first.packet.as_secs_f64();
        let count = filled.connections;
        println!("{count:>11} {load:>9.2} {each:>11} {opening:>9} {packet:>9} {ratio:>7.2}");
    }
    Ok(())
}

fn tracking() -> anyhow::Result<()> {
    let measured = bench::tracking(TRACKED)?;
    let Some((_, bare)) = measured.first().copied() else { return Ok(()) };
    println!(
        "\n{TRACKED} TCP connections by DR; times without sending and receiving, beside a director with nothing but IPVS"
    );
    println!("director               packet   ratio   opening   ratio  bytes each  tracked");
    for (stand, found) in measured {
        let name = match stand {
            Stand::Bare => "IPVS alone",
            Stand::Ours => "our table",
            Stand::Firewall => "a firewall",
            Stand::Both => "both",
        };
        let ratio = |time: Duration, of: Duration| time.as_secs_f64() / of.as_secs_f64();
        println!(
            "{name:<18} {:>10} {:>7.2} {:>9} {:>7.2} {:>11} {:>8}",
            microseconds(found.packet),
            ratio(found.packet, bare.packet),
            microseconds(found.opening),
            ratio(found.opening, bare.opening),
            found.bytes,
            found.tracked
        );
    }
    Ok(())
}

fn microseconds(time: Duration) -> String {
    format!("{:.2} us", time.as_secs_f64() * 1e6)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
