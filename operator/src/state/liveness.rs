//! Which agents still report, by our own clock.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// An agent that lives reports every 30 seconds; after three missed reports it counts as silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(90);

/// When each agent was last heard of.
#[derive(Debug, Default)]
pub struct Liveness {
    heard: HashMap<String, Duration>,
    silent: BTreeSet<String>,
}

impl Liveness {
    /// A node's report has changed, or is seen for the first time.
    pub fn heard(&mut self, node: &str, now: Duration) {
        self.heard.insert(node.to_owned(), now);
    }

    /// A node's report is gone.
    pub fn forget(&mut self, node: &str) {
        self.heard.remove(node);
        self.silent.remove(node);
    }

    /// The nodes that have fallen silent, or are heard of again, since this was last asked.
    pub fn turned(&mut self, now: Duration) -> Vec<(String, bool)> {
        let mut turned = Vec::new();
        for (node, heard) in &self.heard {
            let silent = now.saturating_sub(*heard) > SILENT_AFTER;
            let changed =
                if silent { self.silent.insert(node.clone()) } else { self.silent.remove(node) };
            if changed {
                turned.push((node.clone(), silent));
            }
        }
        turned
    }
}
