//! `make bench-failover`: what clients notice of a director's death, beside keepalived, printed as tables.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::bail;
use lvs_tests::bed::{Guest, inside, show_command};
use lvs_tests::bench::{Crash, Mode, Pair, Rival, busy, crowd, move_all, survivors};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

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
/// Requests while directors hand over.
const REQUESTS: usize = 10_000;
/// How long all CPUs are busy.
const BUSY: Duration = Duration::from_secs(600);
/// Programs that never sleep, beside three agents on one CPU.
const SPINNING: usize = 2;

/// As many directors as a group can have, and how many VIPs they share.
const CROWD: (u8, u16) = (32, 1_000);
/// How long they are listened to; twice, to tell what the time between costs from what the start does.
const LISTENED: [u32; 2] = [1, 4];
/// How often all VIPs of one director move to the other.
const MOVES: u32 = 20;

const USAGE: &str = "usage: lvs-bench-failover [outages [TRIALS [WHO]] | connections [FLOWS] | handovers | crowd [DIRECTORS] | moves [TRIALS] | busy \
                     [SECONDS]]; it boots guests and takes up to an hour";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match (inside(), words.as_slice()) {
        (true, ["outages", index, trials]) => outages(index.parse()?, trials.parse()?),
        (true, ["connections", index, flows]) => connections(index.parse()?, flows.parse()?),
        (true, ["handovers", requests]) => hand_overs(requests.parse()?),
        (true, ["crowd", directors, seconds]) => talk(directors.parse()?, seconds.parse()?),
        (true, ["moves", trials]) => moves(trials.parse()?),
        (true, ["busy", seconds]) => all_busy(Duration::from_secs(seconds.parse()?)),
        (false, []) => {
            all_outages(TRIALS)?;
            all_connections(FLOWS)?;
            boot(&Guest::kernel().virtual_time(), &["handovers", &REQUESTS.to_string()])?;
            all_talk(CROWD.0)?;
            boot(&Guest::kernel(), &["moves", &MOVES.to_string()])?;
            boot(&Guest::kernel(), &["busy", &BUSY.as_secs().to_string()])
        }
        (false, ["outages"]) => all_outages(TRIALS),
        (false, ["outages", trials]) => all_outages(trials.parse()?),
        (false, ["outages", trials, of]) => {
            let known = RIVALS.iter().position(|(name, _)| name == of);
            let Some(index) = known else { bail!("who is {of}? One of {RIVALS:?}") };
            boot(&Guest::kernel().virtual_time(), &["outages", &index.to_string(), trials])
        }
        (false, ["connections"]) => all_connections(FLOWS),
        (false, ["connections", flows]) => all_connections(flows.parse()?),
        (false, ["handovers"]) => {
            boot(&Guest::kernel().virtual_time(), &["handovers", &REQUESTS.to_string()])
        }
        (false, ["crowd"]) => all_talk(CROWD.0),
        (false, ["crowd", directors]) => all_talk(directors.parse()?),
        (false, ["moves"]) => boot(&Guest::kernel(), &["moves", &MOVES.to_string()]),
        (false, ["moves", trials]) => boot(&Guest::kernel(), &["moves", trials]),
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

fn hand_overs(requests: usize) -> anyhow::Result<()> {
    let it = Pair::start(Rival::Ours("profile: Default"))?.hand_overs(requests)?;
    println!(
        "\nA director's agent is told to end, and started again, {} times: {} of {} requests lost",
        it.count, it.lost, it.requests
    );
    Ok(())
}

/// The same for a shorter and for a longer time, and the difference between what both took of this machine's CPUs.
fn all_talk(directors: u8) -> anyhow::Result<()> {
    println!("\n{directors} directors that share {} VIPs, in virtual time", CROWD.1);
    let cost = |seconds: u32| {
        let before = cpu()?;
        let words = ["crowd", &directors.to_string(), &seconds.to_string()];
        boot(&Guest::kernel().virtual_time(), &words)?;
        anyhow::Ok(cpu()?.saturating_sub(before))
    };
    let [short, long] = LISTENED;
    let more = cost(long)?.saturating_sub(cost(short)?);
    let each = more.as_secs_f64() / f64::from(long - short) / f64::from(directors);
    println!(
        "of one CPU, each        {:>10.1} % (a guest's kernel included, which costs several times a real one)",
        each * 1e2
    );
    Ok(())
}

/// What the guests that have ended took of this machine's CPUs.
fn cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let all = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(all.num_microseconds().try_into()?))
}

fn talk(directors: u8, seconds: u64) -> anyhow::Result<()> {
    let talk = crowd(directors, CROWD.1, Duration::from_secs(seconds))?;
    println!("advertisements, each    {:>10.0} /s, each to {} others", talk.said, directors - 1);
    println!("packets heard, each     {:>10.0} /s", talk.heard);
    println!("false failovers         {:>10}", talk.transitions);
    Ok(())
}

fn moves(trials: u32) -> anyhow::Result<()> {
    let silences = move_all(CROWD.1, trials)?;
    let at = |part: usize| milliseconds(silences[(silences.len() - 1) * part / 1_000]);
    println!(
        "\n{} VIPs of a director whose cable is pulled, in real time: {trials} moves, and how long 41 of the VIPs were silent",
        CROWD.1
    );
    println!("      first        half   99 of 100        last");
    println!("{:>11} {:>11} {:>11} {:>11}", at(0), at(500), at(990), at(1_000));
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
