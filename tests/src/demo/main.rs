//! `lvs-demo`: both worked examples, with real packets, in a guest that this program boots.
//!
//! Outside it boots a guest with itself as the command; inside it builds the machines and plays.

mod direct_routing;
mod masquerading;
mod playground;
mod stage;
mod system;

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lvs_tests::bed::{self, Guest};

const USAGE: &str = "\
lvs-demo: Linux Virtual Server as a Kubernetes operator, shown on a real kernel

Usage: lvs-demo [--standalone | --playground]

  (nothing)      both worked examples through a real API server; ends by itself
  --standalone   the same from files, with no control plane
  --playground   a shell in the running system: kubectl, ipvsadm, curl
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Cluster,
    Standalone,
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
        [] => Ok(Play::Cluster),
        ["--standalone"] => Ok(Play::Standalone),
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
    let mut command = vec![std::env::current_exe().context("our own path")?.into_os_string()];
    command.extend(std::env::args_os().skip(1));
    match play {
        Play::Cluster => bed::show_command(&Guest::control_plane(), shown(command)),
        Play::Standalone => bed::show_command(&Guest::kernel(), shown(command)),
        Play::Playground => {
            ensure!(
                stdin().is_terminal() && stdout().is_terminal(),
                "the playground is a shell: run it in a terminal"
            );
            let day = Duration::from_secs(24 * 60 * 60);
            bed::run_command(&Guest::control_plane().limit(day), command)
        }
    }
}

/// Whether there is a terminal is known only outside.
fn shown(command: Vec<OsString>) -> Vec<OsString> {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !stdout().is_terminal() || plain {
        return command;
    }
    [OsString::from("env"), format!("{}=1", stage::COLOR).into()]
        .into_iter()
        .chain(command)
        .collect()
}

fn inside(play: Play) -> anyhow::Result<i32> {
    match play {
        Play::Cluster => bail!("not yet"),
        Play::Standalone => bail!("not yet"),
        Play::Playground => playground::play(),
    }
}
