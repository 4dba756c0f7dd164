use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::eventually;
use crate::net::Node;

/// Between two connections.
const PACE: Duration = Duration::from_millis(10);
/// Connections before and after what happens under load.
const ENOUGH: usize = 20;

/// A client that opens one connection after the other, in the background.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    tried: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Load {
    /// Starts to ask `ADDRESS:PORT` from a node, and returns when that goes on.
    #[track_caller]
    pub fn start(client: &Node, server: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tried = Arc::new(AtomicUsize::new(0));
        let (client, server) = (client.clone(), server.to_owned());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&tried));
        let thread = thread::spawn(move || {
            let mut failed = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                failed.extend(client.get(&server).err().map(|error| format!("{error:#}")));
                count.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PACE);
            }
            failed
        });
        let load = Load { stop, tried, thread };
        load.goes_on();
        load
    }

    #[track_caller]
    fn goes_on(&self) {
        let tried = || self.tried.load(Ordering::Relaxed);
        let wanted = tried() + ENOUGH;
        eventually("the load goes on", Duration::from_secs(100), tried, |count| *count >= wanted);
    }

    /// Waits for some more connections, and ends it.
    ///
    /// # Panics
    /// When a connection failed.
    #[track_caller]
    pub fn end_without_a_failure(self) {
        self.goes_on();
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.thread.join().expect("the load's thread does not panic");
        let tried = self.tried.load(Ordering::Relaxed);
        assert!(failed.is_empty(), "{} of {tried} failed: {failed:#?}", failed.len());
    }
}
