use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::control_plane::{program, state_dir};
use crate::net::{Daemon, Node};
use crate::wait_for;

const PATIENCE: Duration = Duration::from_secs(10);
/// Where the agent serves /metrics.
const LISTEN: &str = "127.0.0.1:9809";

/// An agent without a cluster, and the folder that it watches.
#[derive(Debug)]
pub struct Standalone {
    node: Node,
    folder: PathBuf,
    arguments: Vec<String>,
    agent: Option<Daemon>,
}

impl Standalone {
    /// Starts it on `node`, with an empty folder.
    #[track_caller]
    pub fn start(node: &Node) -> Standalone {
        Standalone::start_with(node, &[])
    }

    /// As [`Standalone::start`], with further arguments.
    #[track_caller]
    pub fn start_with(node: &Node, arguments: &[&str]) -> Standalone {
        let folder = PathBuf::from(format!("/tmp/manifests-{}", node.name()));
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        let mut standalone = Standalone { node: node.clone(), folder, arguments, agent: None };
        standalone.run();
        standalone
    }

    /// Starts the agent when it is not running.
    #[track_caller]
    pub fn run(&mut self) {
        let mut command = Command::new(program("lvs-agent"));
        command.arg("--manifests").arg(&self.folder).arg("--state-dir").arg(state_dir(&self.node));
        command.args(["--node-name", self.node.name(), "--listen", LISTEN]);
        command.args(["--log-format", "text"]).args(&self.arguments);
        self.agent = Some(self.node.spawn(&mut command));
    }

    /// What the agent has said since its last start.
    pub fn log(&self) -> String {
        self.agent.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of the folder.
    #[track_caller]
    pub fn put(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.join(file);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Puts a file of `examples/` into the folder.
    #[track_caller]
    pub fn put_example(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.put(file, text);
    }

    /// Takes a file out of the folder.
    #[track_caller]
    pub fn remove(&self, file: &str) {
        let path = self.folder.join(file);
        fs::remove_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// The status file.
    #[track_caller]
    pub fn status(&self) -> Value {
        let path = state_dir(&self.node).join("status.yaml");
        let text = fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
        serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", path.display()))
    }

    /// A condition of a VirtualService of namespace `default`, as `True`, and its message.
    #[track_caller]
    pub fn condition(&self, name: &str, type_: &str) -> Option<(String, String)> {
        let status = self.status();
        let service = status["items"]
            .as_array()?
            .iter()
            .find(|item| item["kind"] == "VirtualService" && item["metadata"]["name"] == name)?;
        let conditions = service["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == type_)?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("message")))
    }

    /// Waits until a VirtualService has a condition.
    #[track_caller]
    pub fn wait_for(&self, name: &str, type_: &str, wanted: &str) {
        wait_for(&format!("{name} is {type_}={wanted}"), PATIENCE, || {
            match self.condition(name, type_) {
                Some((status, _)) if status == wanted => Ok(()),
                found => Err((found, self.status())),
            }
        });
    }

    /// Waits until a VirtualService has a condition whose message contains `part`.
    #[track_caller]
    pub fn wait_for_told(&self, name: &str, type_: &str, wanted: &str, part: &str) {
        wait_for(&format!("{name} is {type_}={wanted} and tells of {part:?}"), PATIENCE, || {
            match self.condition(name, type_) {
                Some((status, told)) if status == wanted && told.contains(part) => Ok(()),
                found => Err((found, self.status())),
            }
        });
    }

    /// Waits until the status file tells of an error of a file, and returns what it says.
    #[track_caller]
    pub fn wait_for_error(&self, file: &str, part: &str) -> String {
        wait_for(&format!("an error of {file} with {part:?}"), PATIENCE, || {
            let status = self.status();
            let errors = status["errors"].as_array().cloned().unwrap_or_default();
            let of_file = errors.iter().filter(|error| error["file"] == file);
            let mut texts = of_file.filter_map(|error| error["message"].as_str());
            texts.find(|text| text.contains(part)).map(str::to_owned).ok_or(errors)
        })
    }

    /// SIGSTOP: it does nothing any more, and does not know.
    pub fn freeze(&self) {
        self.agent.iter().for_each(Daemon::stop);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.agent.iter().for_each(Daemon::cont);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.agent = None;
    }

    /// SIGTERM; it has to end well.
    #[track_caller]
    pub fn stop(&mut self) {
        let Some(mut agent) = self.agent.take() else { return };
        agent.term();
        let status = agent.wait(PATIENCE).unwrap_or_else(|e| panic!("{e:#}"));
        assert!(status.success(), "the agent ended with {status}:\n{}", agent.log());
    }

    /// Stops the agent and gives the node back.
    #[track_caller]
    pub fn clean_up(&mut self) {
        self.stop();
        let (agent, state) = (program("lvs-agent"), state_dir(&self.node));
        let words = format!("'{}' cleanup --state-dir {}", agent.display(), state.display());
        self.node.sh(&words).unwrap_or_else(|e| panic!("{e:#}"));
    }

    /// The sum of a metric over all labels that `of` names, as `kind="ipvs"`.
    #[track_caller]
    pub fn metric(&self, name: &str, of: &str) -> f64 {
        let text = self.node.http_get(LISTEN, "/metrics");
        let text = text.unwrap_or_else(|e| panic!("{e:#}"));
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(of));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
