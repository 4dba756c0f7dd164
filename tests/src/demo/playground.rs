//! A shell in the running system. Leaving it ends everything.

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::direct_routing::DirectRouting;
use crate::masquerading::Masquerading;

const RC: &str = r#"
[ ! -e ~/.bashrc ] || . ~/.bashrc
on() { # MACHINE COMMAND...
    local machine=$1; shift
    [ -e "/run/netns/$machine" ] || { echo "no machine $machine; there are: $(machines)" >&2; return 1; }
    nsenter --net="/run/netns/$machine" -- "${@:-bash}"
}
machines() { ls /run/netns | grep -vE '^(switch|here)$' | tr '\n' ' '; echo; }
PS1='playground:\w\$ '
"#;

/// Starts all machines and leaves the terminal to a shell.
pub(crate) fn play() -> anyhow::Result<i32> {
    let (_dr, _nat) = (DirectRouting::new(), Masquerading::new());
    fs::write("/run/playground.rc", RC).context("the shell's set-up")?;
    let status = Command::new("bash").args(["--rcfile", "/run/playground.rc", "-i"]).status();
    status.context("cannot start bash")?;
    Ok(0)
}
