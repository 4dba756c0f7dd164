//! The thread from outside.

use super::thread::{Command, Published, Thread};
use super::{Checker, Known, Target, Verdict};
use crate::metrics::Metrics;
use crate::owner::Owner;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The thread that checks real servers. Dropping it ends it.
#[derive(Debug)]
pub struct Handle {
    commands: Option<UnboundedSender<Command>>,
    published: Arc<Mutex<Published>>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Starts the thread in the calling thread's network namespace. `notify` is called on it when something has turned; it must
    /// not block.
    ///
    /// # Errors
    /// When the kernel gives no thread, or none of what its runtime waits by.
    pub fn start(metrics: Arc<Metrics>, notify: impl Fn() + Send + 'static) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let published = Arc::new(Mutex::new(Published::default()));
        // At most one command a change of a VirtualService, and the thread never waits for anybody.
        let (commands, inbox) = unbounded_channel();
        let thread = Thread::new(published.clone(), Box::new(notify), metrics);
        let builder = std::thread::Builder::new().name("health".to_owned());
        let thread = builder.spawn(move || runtime.block_on(thread.run(inbox)))?;
        Ok(Self { commands: Some(commands), published, thread: Some(thread) })
    }
}

impl Checker for Handle {
    fn check(&mut self, owner: Owner, targets: BTreeMap<Target, Known>) {
        if let Some(commands) = &self.commands {
            // It fails only when the thread has ended.
            let _ = commands.send(Command { owner, targets });
        }
    }

    fn turned(&mut self) -> Vec<(Target, u64, Verdict)> {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = std::mem::take(&mut published.turned).into_iter();
        turned.map(|(target, (serial, verdict))| (target, serial, verdict)).collect()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that checks real servers has panicked");
        }
    }
}
