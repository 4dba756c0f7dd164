//! Without a cluster: `lvs-agent --manifests` on the director, rs1 set up by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use lvs_tests::control_plane::program;
use lvs_tests::net::Daemon;
use serde_json::Value;

use crate::cast::Cast;
use crate::patience::within;
use crate::stage::{Stage, show};
use crate::system::System;

/// The folder that the agent watches.
const MANIFESTS: &str = "/tmp/manifests";
const STATE: &str = "/tmp/state";

/// The director's agent.
#[derive(Debug)]
pub(crate) struct Files<'a> {
    cast: &'a Cast,
    agent: Daemon,
}

impl<'a> Files<'a> {
    pub(crate) fn start(stage: Stage, cast: &'a Cast) -> anyhow::Result<Files<'a>> {
        fs::create_dir_all(MANIFESTS)?;
        let arguments = ["--manifests", MANIFESTS, "--node-name", "director", "--state-dir", STATE];
        stage.command("director", &format!("lvs-agent {} &", arguments.join(" ")));
        let agent = cast.director.spawn(
            Command::new(program("lvs-agent")).args(arguments).args(["--log-format", "text"]),
        );
        stage.say("No agent on rs1: its admin sets it up by hand.");
        show(
            stage,
            &cast.rs1,
            "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
        )?;
        show(stage, &cast.rs1, "ip address add 192.168.0.10/32 dev lo")?;
        Ok(Files { cast, agent })
    }

    /// Runs a shell command as the director's admin would, and waits until the status file speaks of it.
    fn change(&self, stage: Stage, words: &str) -> anyhow::Result<()> {
        let seen = self.agent.log().len();
        let before = status();
        show(stage, &self.cast.director, words)?;
        within("the status file says Programmed", || match status() {
            now if now != before && now.iter().all(Line::is_programmed) => Ok(()),
            now => Err(format!("{now:?}")),
        })?;
        // What the agent has said since, as it would scroll by in its terminal.
        let log = self.agent.log();
        let news = log.get(seen..).unwrap_or_default().lines();
        for line in news.filter(|line| line.contains("Available=") || line.contains("ERROR")) {
            stage.output(&line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "));
        }
        Ok(())
    }
}

impl System for Files<'_> {
    fn apply(&self, stage: Stage, manifest: &str) -> anyhow::Result<()> {
        self.change(stage, &format!("cp examples/{manifest} {MANIFESTS}/"))
    }

    fn set_weight(
        &self,
        stage: Stage,
        manifest: &str,
        server: &str,
        weight: u32,
    ) -> anyhow::Result<()> {
        // The weight that follows the server's name.
        let edit = format!("/name: {server}/,/weight:/s|weight: .*|weight: {weight}|");
        show(stage, &self.cast.director, &format!("sed -i '{edit}' {MANIFESTS}/{manifest}"))
    }

    fn list(&self, stage: Stage) -> anyhow::Result<()> {
        show(stage, &self.cast.director, &format!("grep -A2 errors: {STATE}/status.yaml"))
    }

    fn conditions(&self, stage: Stage) -> anyhow::Result<()> {
        stage.command("director", &format!("cat {STATE}/status.yaml   # in short:"));
        for service in status() {
            stage.output(&format!(
                "VirtualService {}: {}",
                service.name,
                service.conditions.join(", ")
            ));
        }
        Ok(())
    }

    fn delete(&self, stage: Stage, manifest: &str) -> anyhow::Result<()> {
        show(stage, &self.cast.director, &format!("rm {MANIFESTS}/{manifest}"))?;
        show(stage, &self.cast.rs1, "ip address del 192.168.0.10/32 dev lo")
    }
}

/// A VirtualService in the status file.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    generation: i64,
    /// As `Programmed=True`.
    conditions: Vec<String>,
}

fn status() -> Vec<Line> {
    let read = || -> anyhow::Result<Vec<Line>> {
        let text = fs::read_to_string(Path::new(STATE).join("status.yaml"))?;
        let list: Value = serde_saphyr::from_str(&text)?;
        let items = list["items"].as_array().context("items")?;
        let services = items.iter().filter(|item| item["kind"] == "VirtualService");
        Ok(services.map(line).collect())
    };
    // It may not be there yet.
    read().unwrap_or_default()
}

fn line(service: &Value) -> Line {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let conditions =
        conditions.iter().map(|c| format!("{}={}", word(&c["type"]), word(&c["status"])));
    Line {
        name: word(&service["metadata"]["name"]),
        generation: service["metadata"]["generation"].as_i64().unwrap_or_default(),
        conditions: conditions.collect(),
    }
}

impl Line {
    fn is_programmed(&self) -> bool {
        self.conditions.iter().any(|condition| condition == "Programmed=True")
    }
}
