//! `make bench-failover`: what clients notice of a director's death, beside keepalived, printed as tables.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::bail;
use lvs_tests::bed::{Guest, inside, show_command};
use lvs_tests::bench::{Crash, Mode, Pair, Rival, busy, survivors};

/// Who is measured.
const RIVALS: [(&str, Rival); 4] = [
    ("kube-lvs, Default", Rival::Ours("profile: Default")),
    ("kube-lvs, Fast", Rival::Ours("profile: Fast")),
    ("keepalived, advert_int 0.09", Rival::Keepalived("0.09")),
    ("keepalived, advert_int 1", Rival::Keepalived("1")),
];
const MODES: [Mode; 3] = [Mode::NAT, Mode::DR, Mode::TUN];
/// How often a director dies; the others' a tenth of it.
const TRIALS: u32 = 1_000;
/// Connections through each VIP.
const FLOWS: usize = 10_000;
/// How long all CPUs are busy.
const BUSY: Duration = Duration::from_secs(600);
/// Programs that never sleep, beside three agents on one CPU.
const SPINNING: usize = 2;

const USAGE: &str = "usage: lvs-bench-failover [outages [TRIALS] | connections [FLOWS] | busy [SECONDS]]; it boots guests \
                     and takes up to an hour";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (inside(), words.as_slice()) {
        (true, ["outages", index, trials]) => outages(index.parse()?, trials.parse()?),
        (true, ["connections", index, flows]) => connections(index.parse()?, flows.parse()?),
        (true, ["busy", seconds]) => all_busy(Duration::from_secs(seconds.parse()?)),
        (false, []) => {
            all_outages(TRIALS)?;
            all_connections(FLOWS)?;
            boot(&Guest::kernel(), &["busy", &BUSY.as_secs().to_string()])
        }
        (false, ["outages"]) => all_outages(TRIALS),
        (false, ["outages", trials]) => all_outages(trials.parse()?),
        (false, ["connections"]) => all_connections(FLOWS),
        (false, ["connections", flows]) => all_connections(flows.parse()?),
        (false, ["busy"]) => boot(&Guest::kernel(), &["busy", &BUSY.as_secs().to_string()]),
        (false, ["busy", seconds]) => boot(&Guest::kernel(), &["busy", seconds]),
        _ => bail!(USAGE),
    }
}

fn boot(guest: &Guest, words: &[&str]) -> anyhow::Result<()> {
    let mut command: Vec<OsString> = vec![std::env::current_exe()?.into()];
    command.extend(words.iter().map(OsString::from));
    match show_command(&guest.clone().memory("4G").limit(Duration::from_secs(3600)), command)? {
        0 => Ok(()),
        status => bail!("{words:?} failed with status {status}: its output is above"),
    }
}

/// A guest for each rival.
fn all_outages(trials: u32) -> anyhow::Result<()> {
    println!(
        "A director dies; from then to the first good answer of a client that connects every 5 ms, in virtual time"
    );
    println!("who carries the VIP         how it dies    trials     half   99 of 100     longest");
    let guest = Guest::kernel().virtual_time();
    (0..RIVALS.len())
        .try_for_each(|index| boot(&guest, &["outages", &index.to_string(), &trials.to_string()]))
}

fn outages(index: usize, trials: u32) -> anyhow::Result<()> {
    let Some((name, rival)) = RIVALS.get(index).copied() else { bail!(USAGE) };
    let ours = matches!(rival, Rival::Ours(_));
    let trials = if ours { trials } else { trials.div_ceil(10) };
    let mut pair = Pair::start(rival)?;
    for (how, crash) in [("cables pulled", Crash::Cables), ("killed", Crash::Killed)] {
        if crash == Crash::Killed && !ours {
            // The addresses of a keepalived that is killed stay where they are.
            continue;
        }
        let outages = pair.outages(crash, trials.max(1))?;
        let [half, most] = [500, 990].map(|part| milliseconds(outages.quantile(part)));
        let (count, longest) = (outages.0.len(), milliseconds(outages.max()));
        println!("{name:<27} {how:<13} {count:>7} {half:>8} {most:>11} {longest:>11}");
    }
    Ok(())
}

/// A guest for each mode.
fn all_connections(flows: usize) -> anyhow::Result<()> {
    println!(
        "\nConnections that were 4 s old when their director's cables were pulled, and answer"
    );
    println!("mode  family   talkers       silent since their handshake");
    let guest = Guest::kernel().virtual_time();
    (0..MODES.len()).try_for_each(|index| {
        boot(&guest, &["connections", &index.to_string(), &flows.to_string()])
    })
}

fn connections(index: usize, flows: usize) -> anyhow::Result<()> {
    let Some(mode) = MODES.get(index).copied() else { bail!(USAGE) };
    for it in survivors(mode, flows)? {
        let family = if it.six { "IPv6" } else { "IPv4" };
        let mode = format!("{mode:?}");
        println!(
            "{mode:<5} {family:<6} {:>6} of {:<6} {:>6} of {:<6}",
            it.talkers, it.of, it.silent, it.of
        );
    }
    Ok(())
}

fn all_busy(time: Duration) -> anyhow::Result<()> {
    let busy = busy("", time, SPINNING)?;
    println!(
        "\nThree directors and {SPINNING} programs that never sleep on one CPU, for {} s of real time, Default profile",
        time.as_secs()
    );
    println!("false failovers  {:>10}", busy.transitions);
    println!("stalls           {:>10}", busy.stalls);
    println!("advertisements   {:>10}", busy.advertisements);
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
