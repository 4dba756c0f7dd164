//! A transport to the kernel that can be listened to and meddled with.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use lvs_ipvs::{NetlinkTransport, Transport};

/// The number of an attribute that no kernel knows.
const UNKNOWN: u8 = 0x70;

#[derive(Debug, Default)]
struct State {
    hidden: Option<[u8; 4]>,
    sent: Vec<u8>,
    received: Vec<u8>,
    repeats: usize,
}

/// The transport.
pub(crate) struct Tap {
    inner: NetlinkTransport,
    state: Arc<Mutex<State>>,
}

/// What is done to it while a client has it.
pub(crate) struct Control(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic under the lock")
}

impl Tap {
    pub(crate) fn open() -> (Tap, Control) {
        let state = Arc::<Mutex<State>>::default();
        let inner = NetlinkTransport::open().expect("a socket");
        (Tap { inner, state: state.clone() }, Control(state))
    }
}

impl Control {
    /// Makes the last attribute with this header (length and type, four bytes) one that the kernel does not
    /// know, in each datagram sent.
    pub(crate) fn hide(&self, header: Option<[u8; 4]>) {
        lock(&self.0).hidden = header;
    }

    /// Forgets what was received.
    pub(crate) fn forget(&self) {
        lock(&self.0).received.clear();
    }

    /// The eight bytes behind an attribute's header in what was received.
    pub(crate) fn received(&self, header: [u8; 4]) -> Option<[u8; 8]> {
        let state = lock(&self.0);
        let at = aligned(&state.received, header).next()?;
        state.received.get(at + 4..at + 12)?.try_into().ok()
    }

    /// Sends the last datagram so many times more, before the next one, and reads nothing in between.
    pub(crate) fn repeat_before_next(&self, times: usize) {
        lock(&self.0).repeats = times;
    }
}

/// Where a header stands; attributes are aligned to four bytes.
fn aligned(bytes: &[u8], header: [u8; 4]) -> impl DoubleEndedIterator<Item = usize> {
    let places = bytes.len() / 4;
    (0..places).map(|place| place * 4).filter(move |&at| bytes[at..at + 4] == header)
}

impl Transport for Tap {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        for _ in 0..std::mem::take(&mut state.repeats) {
            self.inner.send(&state.sent)?;
        }
        let mut datagram = datagram.to_vec();
        if let Some(header) = state.hidden {
            let at = aligned(&datagram, header).next_back();
            datagram[at.expect("an attribute to hide") + 2] = UNKNOWN;
        }
        self.inner.send(&datagram)?;
        state.sent = datagram;
        Ok(())
    }

    fn recv(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<()> {
        self.inner.recv(into, wait)?;
        lock(&self.state).received.extend_from_slice(into);
        Ok(())
    }
}
