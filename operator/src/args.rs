//! The command line.

use crate::logging::LogFormat;
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The kube-lvs operator: resolves VirtualServices to the slices that agents program, and reports what they say of them.
///
/// Several replicas may run; the one that holds the Lease writes, the others watch and stand by.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "lvs-operator")]
pub struct Args {
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Kubeconfig file; without it, $KUBECONFIG, ~/.kube/config or the service account of the pod.
    #[arg(long, env = "LVS_KUBECONFIG", value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// Namespace of the Lease.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        default_value = "kube-lvs",
        value_name = "NAME",
        global = true
    )]
    pub namespace: String,

    /// Name of this replica in the Lease; without it, the host's name and a random number.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,

    /// Address of /healthz, /readyz and /metrics; port 0 takes a free one, which is logged.
    #[arg(long, env = "LVS_LISTEN", default_value = "0.0.0.0:9808", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// How long a replica that is no longer heard of keeps the Lease.
    #[arg(long, env = "LVS_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,

    /// How long after its last renewal the active replica stops writing; less than --lease-duration.
    #[arg(long, env = "LVS_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,

    /// Time between two attempts to get or to renew the Lease; less than --renew-deadline.
    #[arg(long, env = "LVS_RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,

    /// A file with the spec of the DirectorGroup "default", as JSON: the active replica makes it, and keeps it so, but for
    /// fields that somebody else has changed.
    #[arg(long, env = "LVS_DEFAULT_GROUP", value_name = "FILE")]
    pub default_group: Option<PathBuf>,

    /// A file that is told why the operator could not go on: a pod's /dev/termination-log.
    #[arg(long, env = "LVS_TERMINATION_LOG", value_name = "FILE", global = true)]
    pub termination_log: Option<PathBuf>,

    /// Form of the log: text, json, or auto: text on a terminal, else json.
    #[arg(long, env = "LVS_LOG_FORMAT", default_value = "auto", value_enum)]
    pub log_format: LogFormat,

    /// What is logged, e.g. debug, or warn,lvs_operator=debug.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

/// What the program does besides being an operator.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// See whether agents report and the operator answers, then end.
    Check {
        /// How long that may take.
        #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
        wait: Duration,
    },
    /// Stop the operator, have agents give their nodes back, and delete what both have written, then end.
    Uninstall {
        /// How long agents may take.
        #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
        wait: Duration,
    },
}

impl Args {
    /// Checks what one option alone cannot get wrong.
    ///
    /// # Errors
    /// A text that names the options and the fix.
    pub fn check(&self) -> Result<(), String> {
        if self.renew_deadline >= self.lease_duration {
            return Err(format!(
                "--renew-deadline ({:?}) must be less than --lease-duration ({:?}): the active replica has to stop \
                 before another one starts",
                self.renew_deadline, self.lease_duration
            ));
        }
        if self.retry_period.is_zero() || self.retry_period >= self.renew_deadline {
            return Err(format!(
                "--retry-period ({:?}) must be more than 0 and less than --renew-deadline ({:?})",
                self.retry_period, self.renew_deadline
            ));
        }
        Ok(())
    }
}

/// `15s`, `500ms`, `2m` or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is no duration: write 15s"))?;
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{unit:?} is no unit of time: use ms, s or m")),
    };
    Duration::try_from_secs_f64(number * factor)
        .map_err(|_| format!("{text:?} is no duration: write 15s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, expected) in [("15s", 15_000), ("500ms", 500), ("2m", 120_000), ("7", 7000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "s", "5h", "-1s", "1e400s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lease_times_that_would_let_two_write_are_refused() {
        let parse = |extra: &[&str]| Args::parse_from(["lvs-operator"].iter().chain(extra)).check();
        assert_eq!(parse(&[]), Ok(()));
        assert!(parse(&["--renew-deadline", "15s"]).is_err());
        assert!(parse(&["--retry-period", "10s"]).is_err());
        assert!(parse(&["--retry-period", "0s"]).is_err());
    }
}
