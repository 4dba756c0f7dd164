//! The thread from outside.

use super::channel::{Command, Figures, Published};
use super::thread::Thread;
use super::{Asks, Prober, Report};
use crate::owner::Owner;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The thread that asks VIPs. Dropping it ends it.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    published: Arc<Mutex<Published>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has counted, for whoever tells it.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Published>>);

impl Counts {
    /// As of the thread's last wake-up.
    pub fn figures(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).figures
    }
}

impl Handle {
    /// Starts the thread in the calling thread's network namespace. `notify` is called on it after each change of what it
    /// tells; it must not block.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn start(notify: impl Fn() + Send + 'static) -> io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let published = Arc::new(Mutex::new(Published::default()));
        let (commands, inbox) = channel();
        let thread = Thread::new(inbox, wake.clone(), published.clone(), Box::new(notify));
        let builder = std::thread::Builder::new().name("probe".to_owned());
        let thread = Some(builder.spawn(move || thread.run())?);
        Ok(Self { commands, wake, published, thread })
    }

    /// What it counts.
    pub fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.published))
    }

    fn tell(&self, command: Command) {
        // It fails only when the thread has ended.
        let _ = self.commands.send(command);
        // It fails only when it is that full of wake-ups that one more makes no difference.
        let _ = self.wake.write(1);
    }
}

impl Prober for Handle {
    fn ask(&mut self, owner: Owner, asks: Asks) {
        self.tell(Command::Ask(owner, Box::new(asks)));
    }

    fn told(&mut self, version: u64) {
        self.tell(Command::Told(version));
    }

    fn held(&mut self, vips: BTreeSet<IpAddr>) {
        self.tell(Command::Held(vips));
    }

    fn report(&self) -> Report {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).report.clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that asks VIPs has panicked");
        }
    }
}
