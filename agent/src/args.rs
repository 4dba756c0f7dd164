//! The command line.

use clap::{ArgGroup, Args, Parser, Subcommand};
use lvs_agent::telemetry::LogFormat;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The agent of kube-lvs: makes this node's kernel match what was applied.
///
/// Without a subcommand it runs until SIGTERM or SIGINT, and then leaves the kernel as it is: a restart or an upgrade
/// drops no packet. `lvs-agent cleanup` takes down what it made.
///
/// It reads slices from the API server (with --kubeconfig, or as a pod), or manifests from a folder (--manifests), and
/// needs CAP_NET_ADMIN in the host's network and user namespaces (with several directors CAP_NET_RAW too), and a writable
/// /proc/sys/net.
#[derive(Debug, Parser)]
#[command(
    name = "lvs-agent",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 told to stop; 2 bad usage; 3 no CAP_NET_ADMIN; 4 the state directory is in use or \
                  unusable; 5 the --listen address is taken; 1 anything else."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: Run,
    #[command(flatten)]
    pub shared: Shared,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Take down everything that the agent made on this node: services, addresses, and sysctls put back to what they
    /// were. What others made stays. Stop the agent first.
    Cleanup,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").args(["kubeconfig", "manifests"]))]
pub struct Run {
    /// Kubeconfig to reach the API server with. Default: the pod's service account, or else $KUBECONFIG or
    /// ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Run without a cluster, from the manifests (*.yaml, *.yml, *.json) in this folder, which is watched.
    #[arg(long, value_name = "DIR", env = "LVS_MANIFESTS")]
    pub manifests: Option<PathBuf>,

    /// This node's name [default: the host name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,

    /// Where /healthz, /readyz and /metrics are served; port 0 takes a free one, which is logged.
    #[arg(long, value_name = "ADDRESS:PORT", env = "LVS_LISTEN", default_value = "127.0.0.1:9809")]
    pub listen: SocketAddr,

    /// How often the kernel is read for what others have changed: 500ms, 2s, 1m.
    #[arg(long, value_name = "TIME", env = "LVS_AUDIT_INTERVAL", default_value = "2s", value_parser = duration)]
    pub audit_interval: Duration,

    /// With --manifests: the file that tells every object's status [default: STATE_DIR/status.yaml]
    #[arg(long, value_name = "FILE", env = "LVS_STATUS_FILE", requires = "manifests")]
    pub status_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Shared {
    /// Where the agent keeps the journal of what it made, and the last known state. Must outlive the agent (in a pod: a
    /// hostPath), or what it made becomes somebody else's.
    #[arg(
        long,
        value_name = "DIR",
        env = "LVS_STATE_DIR",
        default_value = "/var/lib/kube-lvs",
        global = true
    )]
    pub state_dir: PathBuf,

    /// Where the host's sysctls are: a folder as /proc/sys, of which only net is needed. In a container /proc/sys itself is
    /// read-only; there the host's /proc/sys/net is mounted at another place.
    #[arg(
        long,
        value_name = "DIR",
        env = "LVS_SYSCTL_ROOT",
        default_value = "/proc/sys",
        global = true
    )]
    pub sysctl_root: PathBuf,

    /// A file that is told why the agent could not go on: a pod's /dev/termination-log.
    #[arg(long, value_name = "FILE", env = "LVS_TERMINATION_LOG", global = true)]
    pub termination_log: Option<PathBuf>,

    /// How log lines look: text, json, or auto: text on a terminal and JSON otherwise.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "LVS_LOG_FORMAT",
        default_value = "auto",
        global = true
    )]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as lvs_agent=debug,warn.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "LVS_LOG_LEVEL",
        default_value = "info",
        global = true
    )]
    pub log_level: String,
}

/// The shortest interval: below, the agent would do little else.
const SHORTEST: Duration = Duration::from_millis(100);

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let number: u64 =
        digits.parse().map_err(|_| "a whole number with a unit is needed, e.g. 2s".to_owned())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => return Err("the unit must be ms, s or m, e.g. 2s".to_owned()),
    };
    let duration = millis.map(Duration::from_millis);
    match duration.filter(|d| *d <= Duration::from_secs(3600)) {
        Some(duration) if duration >= SHORTEST => Ok(duration),
        _ => Err("must be 100ms to 60m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit_and_a_sensible_size() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["2", "s", "", "2h", "1ms", "0s", "61m", "99999999999999999999s", "-1s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_sources_are_bad_usage() {
        let both = ["lvs-agent", "--kubeconfig", "a", "--manifests", "b"];
        assert_eq!(Cli::try_parse_from(both).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_state_dir_fits_behind_cleanup_too() {
        let cli = Cli::try_parse_from(["lvs-agent", "cleanup", "--state-dir", "/x"]).unwrap();
        assert_eq!(cli.shared.state_dir, PathBuf::from("/x"));
        assert!(matches!(cli.command, Some(Command::Cleanup)));
    }
}
