//! The script that tells the stories with docker and kind, to its end, where both are played: what stays unproven is their own part.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::ensure;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::kubernetes::{Kubernetes, pack_busybox};

#[test]
fn the_script_for_kind_tells_the_stories_to_their_end() {
    in_guest(Guest::cluster().with_previous(), || -> anyhow::Result<()> {
        let cluster = Kubernetes::start(4);
        let nodes = "/tmp/played-nodes";
        let line = |machine: &lvs_tests::kubernetes::Machine| {
            format!("{} {}\n", machine.node.name(), machine.containerd_pid())
        };
        fs::write(nodes, cluster.machines.iter().map(line).collect::<String>())?;
        let busybox = pack_busybox("docker.io/library/busybox:1.36", "bin/busybox")?;
        fs::write("/tmp/busybox.tar", busybox)?;

        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = cluster.plane.programs().display();
        let status = Command::new("bash")
            .arg(here.join("kind/run.sh"))
            .env("PATH", format!("{}:{programs}:{path}", here.join("kind/played").display()))
            .env("ADMIN_KUBECONFIG", cluster.plane.kubeconfig())
            .env("PLAYED", nodes)
            .env("BUSYBOX", "/tmp/busybox.tar")
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "tests/kind/run.sh: {status}");
        Ok(())
    });
}
