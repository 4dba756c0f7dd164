//! `lvs-demo`: the worked examples, with real packets, in guests that this program boots.
//!
//! Outside it boots a guest with itself as the command; inside it builds the machines and plays.

mod cast;
mod cluster;
mod direct_routing;
mod failover;
mod files;
mod masquerading;
mod patience;
mod playground;
mod pods;
mod stage;
mod system;

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cast::Cast;
use cluster::Cluster;
use files::Files;
use lvs_tests::bed::{self, Guest};
use stage::Stage;

/// Wall clock, for a machine that is busy with something else.
const LIMIT: Duration = Duration::from_secs(300);

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

const USAGE: &str = "\
lvs-demo: Linux Virtual Server as a Kubernetes operator, shown on a real kernel

Usage: lvs-demo [--standalone | --failover | --pods | --playground]

  (nothing)      both worked examples through a real API server, then two directors; ends by itself
  --standalone   the same from files, with no control plane
  --failover     two directors, one of which loses its cables; from files
  --pods         the chart on a cluster of three nodes, with pods
  --playground   a shell in the running system: kubectl, ipvsadm, curl
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Cluster,
    Standalone,
    Failover,
    Pods,
    Playground,
}

fn main() -> ExitCode {
    let played =
        arguments().and_then(|play| if bed::inside() { inside(play) } else { outside(play) });
    match played {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("lvs-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> anyhow::Result<Play> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--cluster"] => Ok(Play::Cluster),
        ["--standalone"] => Ok(Play::Standalone),
        ["--failover"] => Ok(Play::Failover),
        ["--pods"] => Ok(Play::Pods),
        ["--playground"] => Ok(Play::Playground),
        ["--help" | "-h"] => {
            print!("{USAGE}");
            std::process::exit(0)
        }
        _ => bail!("unknown arguments {arguments:?}\n{USAGE}"),
    }
}

/// Boots the guest with this program in it.
fn outside(play: Play) -> anyhow::Result<i32> {
    let start = Instant::now();
    let status = match play {
        Play::Cluster => {
            let played = show(&Guest::control_plane(), "--cluster")?;
            if played == 0 { show(&failover_guest(), "--failover")? } else { played }
        }
        Play::Standalone => show(&Guest::kernel(), "--standalone")?,
        Play::Failover => show(&failover_guest(), "--failover")?,
        Play::Pods => bed::show_command(&Guest::cluster(), shown(ourselves("--pods")?))?,
        Play::Playground => {
            ensure!(
                stdin().is_terminal() && stdout().is_terminal(),
                "the playground is a shell: run it in a terminal"
            );
            return bed::run_command(
                &Guest::control_plane().limit(A_DAY),
                ourselves("--playground")?,
            );
        }
    };
    if status == 0 {
        let stage = Stage::new(is_colored());
        stage.part(&format!("Done in {} s. Next:", start.elapsed().as_secs()));
        stage.say(
            "make playground   a shell in this system, to try your own manifests\n\
             make test         all that is said here and more, as tests\n\
             examples/         one manifest a concept; docs/ says the rest",
        );
    }
    Ok(status)
}

/// In virtual time waiting takes none, and CPUs that are busy with something else delay nothing. Debian's kernel has none.
fn failover_guest() -> Guest {
    let debian = std::env::var("BED_KERNEL").is_ok_and(|kernel| kernel == "debian");
    if debian { Guest::kernel() } else { Guest::kernel().virtual_time() }
}

/// Plays one part in a guest.
fn show(guest: &Guest, part: &str) -> anyhow::Result<i32> {
    bed::show_command(&guest.clone().limit(LIMIT), shown(ourselves(part)?))
}

fn ourselves(part: &str) -> anyhow::Result<Vec<OsString>> {
    let program = std::env::current_exe().context("our own path")?;
    Ok(vec![program.into_os_string(), part.into()])
}

/// Whether there is a terminal is known only outside.
fn shown(command: Vec<OsString>) -> Vec<OsString> {
    if !is_colored() {
        return command;
    }
    [OsString::from("env"), format!("{}=1", stage::COLOR).into()]
        .into_iter()
        .chain(command)
        .collect()
}

fn is_colored() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !plain
}

fn inside(play: Play) -> anyhow::Result<i32> {
    // The audience sees paths from here.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(&workspace).with_context(|| workspace.display().to_string())?;
    let stage = Stage::new(std::env::var_os(stage::COLOR).is_some());
    match play {
        Play::Cluster => cluster_play(stage)?,
        Play::Standalone => standalone_play(stage)?,
        Play::Failover => failover::play(stage)?,
        Play::Pods => pods::play(stage)?,
        Play::Playground => return playground::play(),
    }
    Ok(0)
}

fn cluster_play(stage: Stage) -> anyhow::Result<()> {
    stage.introduce(
        "a real kernel with IPVS in one ordinary process, network namespaces as machines,\n\
                     etcd, kube-apiserver, lvs-operator, and lvs-agent on director and rs1.",
    );
    let cast = Cast::new();
    let cluster = stage.wait("Starting", || Cluster::start(&cast));
    direct_routing::play(stage, &cast, &cluster)?;
    masquerading::play(stage, &cast, &cluster)?;
    stage.part("3. What cannot work is refused, with the fix");
    let refused = r#"patch virtualservice web --type=merge -p '{"spec":{"forwarding":"DR"}}'"#;
    ensure!(!cluster.kubectl(stage, refused)?, "DR with a targetPort was not refused");
    Ok(())
}

fn standalone_play(stage: Stage) -> anyhow::Result<()> {
    stage.introduce(
        "a real kernel with IPVS in one ordinary process, network namespaces as machines,\n\
                     and lvs-agent on the director. No API server, no operator.",
    );
    let cast = Cast::new();
    let files = Files::start(stage, &cast)?;
    direct_routing::play(stage, &cast, &files)?;
    masquerading::play(stage, &cast, &files)
}
