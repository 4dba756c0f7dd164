//! `lvs-bed`: runs a command in a guest.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use lvs_tests::bed::{Guest, run_command, show_command};

const USAGE: &str = "\
lvs-bed: a guest with a real kernel with IPVS, in one ordinary process

Usage: lvs-bed run [--virtual-time] [--debian] [--control-plane] COMMAND...

The host's files are there, read-only; /tmp, /run, /var/lib and /var/log are the guest's own. With a terminal, COMMAND
gets it. The exit status is COMMAND's.

  --virtual-time    the clock jumps to the next timer whenever all sleep
  --debian          Debian's packaged kernel with modules
  --control-plane   kube-apiserver and kubectl are built, and at hand in $BED_CONTROL_PLANE
";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_ref().and_then(|argument| argument.to_str()) {
        Some("run") => run(arguments.collect()),
        // In the guest; see lvs_tests::control_plane.
        Some("make-seed") => {
            let manifest = arguments.next().unwrap_or_else(|| usage());
            lvs_tests::control_plane::make_seed(Path::new(&manifest))
        }
        Some("--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => usage(),
    }
}

fn run(mut command: Vec<OsString>) -> anyhow::Result<()> {
    let mut guest = Guest::kernel();
    while let Some(option) =
        command.first().and_then(|word| word.to_str()).filter(|word| word.starts_with("--"))
    {
        guest = match option {
            "--virtual-time" => guest.virtual_time(),
            "--debian" => Guest::debian(),
            "--control-plane" => Guest::control_plane(),
            _ => usage(),
        };
        command.remove(0);
    }
    if command.is_empty() {
        usage();
    }
    let guest = guest.limit(Duration::from_secs(24 * 60 * 60));
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    let status =
        if terminal { run_command(&guest, command)? } else { show_command(&guest, command)? };
    std::process::exit(status)
}

fn usage() -> ! {
    eprint!("{USAGE}");
    std::process::exit(2)
}
