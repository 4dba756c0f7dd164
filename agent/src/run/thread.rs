//! The kernel's thread: waits for news or the audit's time, steps, publishes.

use super::engine::Engine;
use crate::kernel::Kernel;
use crate::message::{Heartbeat, Message, Published};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Runs until told to stop, or until nobody is left to tell.
pub(super) fn run<K: Kernel>(
    mut engine: Engine<K>,
    messages: &Receiver<Message>,
    audit_interval: Duration,
    published: &watch::Sender<Published>,
    heartbeat: &Heartbeat,
) {
    let epoch = Instant::now();
    let mut next_audit = audit_interval;
    engine.step(epoch.elapsed());
    loop {
        publish(&engine, published);
        heartbeat.beat();
        let wait = next_audit.saturating_sub(epoch.elapsed());
        let mut news = match messages.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let start = Instant::now();
        let (mut had_news, mut look, mut carried) = (false, false, false);
        let mut filter = false;
        // Whatever has piled up meanwhile becomes one step.
        while let Some(message) = news {
            match message {
                Message::News(update) => {
                    engine.take(*update);
                    had_news = true;
                }
                Message::Look => look = true,
                Message::LookAtFilter => filter = true,
                Message::Carried => carried = true,
                Message::Probed => engine.probed(),
                Message::Checked => had_news |= engine.checked(),
                Message::Stop => return,
            }
            news = messages.try_recv().ok();
        }
        if carried && engine.carried() {
            had_news = true;
        }
        if had_news {
            engine.step(epoch.elapsed());
            engine.metrics.stepped(start.elapsed());
        }
        if filter {
            engine.glance_at_filter(epoch.elapsed());
        }
        if look {
            engine.glance(epoch.elapsed());
        }
        if epoch.elapsed() >= next_audit {
            engine.audit(epoch.elapsed());
            // Counted from the end, so that an audit that takes long does not become all there is.
            next_audit = epoch.elapsed() + audit_interval;
        }
    }
}

fn publish<K: Kernel>(engine: &Engine<K>, published: &watch::Sender<Published>) {
    let status = engine.status();
    engine.metrics.state(&status, engine.kernel.requests());
    let new = Published { status, synced: engine.synced(), ready: engine.ready() };
    published.send_if_modified(|old| old.replace(new));
}
