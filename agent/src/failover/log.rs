//! Lines for the log are written by a thread of their own: whoever reads standard error may stand still, and VIPs must not.

use super::wording::{Line, write};
use std::io;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::time::Duration;

/// Lines that may wait: all virtual routers of a node at once.
const WAITING: usize = 512;
/// How long the last ones may take when the agent ends.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where lines go.
#[derive(Debug)]
pub(super) struct Log {
    lines: SyncSender<Entry>,
    ended: Receiver<()>,
    lost: u64,
}

#[derive(Debug)]
enum Entry {
    Line(String, Box<Line>),
    /// So many found no room.
    Lost(u64),
}

impl Log {
    /// Starts the thread that writes.
    pub(super) fn start() -> io::Result<Self> {
        Self::to(|entry| match entry {
            Entry::Line(group, line) => write(&group, &line),
            Entry::Lost(lines) => {
                tracing::warn!(
                    lines,
                    "lines about virtual routers were lost: the log was not read in time"
                );
            }
        })
    }

    fn to(write: impl Fn(Entry) + Send + 'static) -> io::Result<Self> {
        let (lines, inbox) = sync_channel(WAITING);
        let (end, ended) = channel::<()>();
        std::thread::Builder::new().name("failover-log".to_owned()).spawn(move || {
            for entry in inbox {
                write(entry);
            }
            // That it is dropped says that all is written.
            drop(end);
        })?;
        Ok(Self { lines, ended, lost: 0 })
    }

    /// Never waits.
    pub(super) fn write(&mut self, group: &str, lines: Vec<Line>) {
        for line in lines {
            if self.lost > 0 {
                match self.lines.try_send(Entry::Lost(self.lost)) {
                    Ok(()) => self.lost = 0,
                    Err(_) => {
                        self.lost += 1;
                        continue;
                    }
                }
            }
            if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                self.lines.try_send(Entry::Line(group.to_owned(), Box::new(line)))
            {
                self.lost += 1;
            }
        }
    }

    /// Waits until all is written, for a moment.
    pub(super) fn end(self) {
        drop(self.lines);
        // Written, or nobody reads: then it is for nobody.
        let (Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) =
            self.ended.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::wording::What;
    use std::collections::BTreeSet;
    use std::sync::mpsc::Sender;
    use std::time::Instant;

    fn line() -> Line {
        let addresses = BTreeSet::new();
        let (what, peers) = (What::Added, Vec::new());
        Line { router: None, what, peers, addresses, took: None, since_heard: None }
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_nobody_waiting_and_says_what_is_missing() {
        let (go, wait) = channel::<()>();
        let (told, read): (Sender<Entry>, _) = channel();
        let (begun, begins) = channel::<()>();
        let mut log = Log::to(move |entry| {
            let _ = begun.send(());
            let _ = wait.recv();
            let _ = told.send(entry);
        })
        .unwrap();
        log.write("default", vec![line()]);
        // While it stands still there is no room that somebody might find in between.
        begins.recv().unwrap();
        let start = Instant::now();
        for _ in 0..10 * WAITING {
            log.write("default", vec![line()]);
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(log.lost as usize >= 9 * WAITING - 1, "{}", log.lost);
        let lost = log.lost;
        drop(go);
        // It is read again.
        let first = read.iter().take(WAITING).count();
        assert_eq!(first, WAITING);
        log.write("default", vec![line()]);
        log.end();
        let rest: Vec<Entry> = read.iter().collect();
        let told: u64 =
            rest.iter().map(|it| if let Entry::Lost(lines) = it { *lines } else { 0 }).sum();
        assert_eq!(told, lost);
    }
}
