//! A shell in the running system. Leaving it ends everything.

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::cast::{Cast, PICTURE};
use crate::cluster::{Cluster, folder_of_kubectl};

const RC: &str = r#"
[ ! -e ~/.bashrc ] || . ~/.bashrc
on() { # MACHINE COMMAND...
    local machine=$1; [ $# = 0 ] || shift
    [ -n "$machine" ] && [ -e "/run/netns/$machine" ] || { echo "usage: on MACHINE COMMAND; machines: $(machines)" >&2; return 1; }
    nsenter --net="/run/netns/$machine" -- "${@:-bash}"
}
machines() { ls /run/netns | grep -vE '^(switch|here)$' | tr '\n' ' '; echo; }
ipvsadm() { on director ipvsadm "$@"; }
PS1='playground$ '
"#;

const HINT: &str = "
Try:
  kubectl apply -f examples/dr.yaml
  kubectl get lvs
  on client1 curl 192.168.0.10            # says who answered, and whom it saw. on MACHINE COMMAND; see machines
  ipvsadm -Ln                             # on the director
  kubectl patch realserver web-1 --type=merge -p '{\"spec\":{\"weight\":20}}'
  kubectl explain virtualservice.spec.scheduler
  ipvsadm -C; sleep 3; ipvsadm -Ln        # drift is repaired
  kubectl delete -f examples/dr.yaml; kubectl apply -f examples/nat.yaml
  on client2 curl 211.47.13.234
exit ends everything.
";

/// Starts all machines and leaves the terminal to a shell.
pub(crate) fn play() -> anyhow::Result<i32> {
    println!("Starting the machines, kube-apiserver, operator and agents ...");
    println!("{PICTURE}");
    let cast = Cast::new();
    let cluster = Cluster::start(&cast);
    fs::write("/run/playground.rc", RC).context("the shell's set-up")?;
    println!("{HINT}");
    let path = std::env::var("PATH").unwrap_or_default();
    let status = Command::new("bash")
        .args(["--rcfile", "/run/playground.rc", "-i"])
        .env("PATH", format!("{}:{path}", folder_of_kubectl().display()))
        .env("KUBECONFIG", cluster.plane.kubeconfig())
        .status();
    status.context("cannot start bash")?;
    Ok(0)
}
