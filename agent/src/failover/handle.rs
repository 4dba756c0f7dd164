//! The thread from outside.

use super::channel::{Command, Published};
use super::thread::Thread;
use super::{Carrier, Figures, Report, Wants};
use crate::state::HeldAddress;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The thread that carries floating addresses. Dropping it stops it as [`Handle::stop`] does.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    published: Arc<Mutex<Published>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread has counted, for whoever tells it: it outlives the thread.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Published>>);

impl Counts {
    /// As of the thread's last wake-up.
    pub fn figures(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).figures.clone()
    }
}

impl Handle {
    /// What it counts.
    pub fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.published))
    }

    /// Starts the thread in the calling thread's network namespace.
    ///
    /// `ours`: the addresses that the journal names. Those of them that stand with a lifetime are taken away before this
    /// returns: their agent was away, and another director may have them. `notify` is called on the thread, after each
    /// change of [`Handle::report`]; it must not block.
    ///
    /// # Errors
    /// When the kernel gives no rtnetlink socket, or no thread.
    pub fn start(
        ours: &BTreeSet<HeldAddress>,
        notify: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let wake = Arc::new(EventFd::from_flags(flags)?);
        let published = Arc::new(Mutex::new(Published::default()));
        let (commands, inbox) = channel();
        let thread = Thread::open(ours, inbox, wake.clone(), published.clone(), Box::new(notify))?;
        let builder = std::thread::Builder::new().name("failover".to_owned());
        let thread = Some(builder.spawn(move || thread.run())?);
        Ok(Self { commands, wake, published, thread })
    }

    /// As of its last change.
    pub fn report(&self) -> Report {
        self.lock(|published| published.report.clone())
    }

    /// As of the thread's last wake-up.
    pub fn figures(&self) -> Figures {
        self.lock(|published| published.figures.clone())
    }

    /// Hands over what others will take, and ends; what nobody takes stays where it is, for ever. Takes at most a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of failover has panicked");
        }
    }

    fn tell(&self, command: Command) {
        // It fails only when the thread has ended.
        let _ = self.commands.send(command);
        // It fails only when it is that full of wake-ups that one more makes no difference.
        let _ = self.wake.write(1);
    }

    fn lock<T>(&self, read: impl Fn(&Published) -> T) -> T {
        read(&self.published.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Carrier for Handle {
    fn want(&mut self, wants: Wants) {
        self.tell(Command::Want(wants));
    }

    fn report(&self) -> Report {
        Self::report(self)
    }

    fn announce(&mut self, addresses: Vec<HeldAddress>) {
        self.tell(Command::Announce(addresses));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}
