use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Linger, SocketError};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, setsockopt, socket,
};

use super::socket_address;
use crate::net::Node;

/// A connection that is not there after so long counts as failed: before the kernel sends another SYN.
const PATIENCE: Duration = Duration::from_millis(900);

/// One attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was begun.
    pub begun: Instant,
    /// When the server had answered; `None` if it did not.
    pub answered: Option<Instant>,
}

/// A client that begins a TCP connection every so often, whatever became of those before, in the background.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Attempt>>,
}

impl Probe {
    /// Starts it in a node.
    #[track_caller]
    pub fn start(client: &Node, server: &str, every: Duration) -> Probe {
        let (client, server) = (client.clone(), socket_address(server));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || client.run(|| run(server, every, &stopped)));
        Probe { stop, thread }
    }

    /// Ends it, and gives all attempts in the order of their beginnings; those of the last moments may lack their answer.
    pub fn end(self) -> Vec<Attempt> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a probe's thread does not panic")
    }
}

struct Pending {
    index: usize,
    socket: OwnedFd,
}

fn run(server: SocketAddr, every: Duration, stop: &AtomicBool) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut pending: Vec<Pending> = Vec::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now >= next {
            attempts.push(Attempt { begun: now, answered: None });
            if let Some(socket) = begin(server) {
                pending.push(Pending { index: attempts.len() - 1, socket });
            }
            next += every;
            continue;
        }
        await_answers(&pending, next - now);
        let now = Instant::now();
        pending.retain(|it| {
            let attempt = &mut attempts[it.index];
            match state(&it.socket) {
                Some(true) => attempt.answered = Some(now),
                None if now < attempt.begun + PATIENCE => return true,
                _ => {}
            }
            false
        });
    }
    attempts
}

fn begin(server: SocketAddr) -> Option<OwnedFd> {
    let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None).expect("a socket");
    // Closing resets, so that no port is kept for a minute.
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&socket, Linger, &linger).expect("SO_LINGER");
    use std::os::fd::AsRawFd as _;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(server)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => Some(socket),
        // No route, or a neighbour that does not answer: a failed attempt.
        Err(_) => None,
    }
}

fn await_answers(pending: &[Pending], limit: Duration) {
    let mut waiting: Vec<PollFd<'_>> =
        pending.iter().map(|it| PollFd::new(it.socket.as_fd(), PollFlags::POLLOUT)).collect();
    // Rounded up: a poll of 0 ms would spin.
    let millis = u16::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    let _ = poll(&mut waiting, PollTimeout::from(millis));
}

/// Whether it is connected (`true`), refused (`false`), or neither yet.
fn state(socket: &OwnedFd) -> Option<bool> {
    let mut one = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut one, PollTimeout::ZERO).ok()?;
    let events = one[0].revents()?;
    if events.is_empty() {
        return None;
    }
    Some(getsockopt(socket, SocketError) == Ok(0) && !events.contains(PollFlags::POLLHUP))
}

/// The longest time between two moments at which an attempt was answered, from `since` on.
pub fn longest_gap(attempts: &[Attempt], since: Instant) -> Duration {
    let mut answers: Vec<Instant> = attempts.iter().filter_map(|it| it.answered).collect();
    answers.sort();
    let last_before = answers.iter().copied().take_while(|it| *it <= since).last();
    let times: Vec<Instant> =
        last_before.into_iter().chain(answers.into_iter().filter(|it| *it > since)).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
}
