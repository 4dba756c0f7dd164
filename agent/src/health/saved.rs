//! Verdicts on disk, so that a restart of the agent does not bring a dead server back for the time of its first checks.

use super::{Target, Verdict, Verdicts};
use crate::input::saved::{SaveError, replace};
use lvs_crds::{HealthCheck, InitialHealth};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// A target and what was found of it.
#[derive(Serialize, Deserialize)]
struct Entry {
    address: IpAddr,
    port: Option<u16>,
    check: HealthCheck,
    verdict: Verdict,
}

/// What was saved; nothing where there is nothing that can be read, which is told.
pub fn load(file: &Path) -> Verdicts {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Verdicts::default(),
        Err(error) => {
            tracing::warn!(object = %file.display(), %error, "verdicts of checks not read");
            return Verdicts::default();
        }
    };
    let known = |Entry { address, port, check, verdict }: Entry| {
        (Target { address, port, check: Arc::new(check) }, verdict)
    };
    match serde_json::from_slice::<Vec<Entry>>(&text) {
        Ok(entries) => entries.into_iter().map(known).collect(),
        Err(error) => {
            tracing::warn!(object = %file.display(), %error, "verdicts of checks skipped");
            Verdicts::default()
        }
    }
}

/// Saves what is otherwise than it would be taken for without.
///
/// # Errors
/// When the file cannot be written.
pub fn save(file: &Path, verdicts: &Verdicts) -> Result<(), SaveError> {
    let unexpected = |(target, verdict): &(&Target, &Verdict)| {
        !verdict.unfit && verdict.up != (target.check.initial == InitialHealth::Up)
    };
    let entry = |(target, verdict): (&Target, &Verdict)| Entry {
        address: target.address,
        port: target.port,
        check: HealthCheck::clone(&target.check),
        verdict: verdict.clone(),
    };
    let all: Vec<Entry> = verdicts.iter().filter(unexpected).map(entry).collect();
    let text = serde_json::to_vec(&all);
    let text = text.map_err(|error| SaveError::of(file, io::Error::other(error)))?;
    replace(file, &text)
}
