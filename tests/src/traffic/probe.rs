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
        let answers = await_answers(&pending, next - now);
        let now = Instant::now();
        let mut answers = answers.into_iter();
        pending.retain(|it| {
            let attempt = &mut attempts[it.index];
            match answers.next().flatten() {
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

/// Of each whether it is connected (`true`), refused (`false`), or neither yet.
fn await_answers(pending: &[Pending], limit: Duration) -> Vec<Option<bool>> {
    let mut waiting: Vec<PollFd<'_>> =
        pending.iter().map(|it| PollFd::new(it.socket.as_fd(), PollFlags::POLLOUT)).collect();
    // Rounded up: a poll of 0 ms would spin.
    let millis = u16::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    let _ = poll(&mut waiting, PollTimeout::from(millis));
    let states = waiting.iter().zip(pending).map(|(polled, it)| {
        let events = polled.revents().filter(|events| !events.is_empty())?;
        Some(!events.contains(PollFlags::POLLHUP) && getsockopt(&it.socket, SocketError) == Ok(0))
    });
    states.collect()
}

/// The longest time in which no attempt was answered, from `since` on: its beginning, which may lie before, and its end.
/// `None` where it has no end.
pub fn longest_silence(attempts: &[Attempt], since: Instant) -> Option<(Instant, Instant)> {
    let mut answers: Vec<Instant> = attempts.iter().filter_map(|it| it.answered).collect();
    answers.sort();
    let before = answers.partition_point(|it| *it <= since);
    let from = answers.get(before.saturating_sub(1)..)?;
    let pairs = from.windows(2).map(|pair| (pair[0], pair[1]));
    let longest = pairs.max_by_key(|(begin, end)| *end - *begin)?;
    // What is going on at the end may be the longest of all.
    let (last, end) = (from.last()?, attempts.last()?.begun);
    (end.saturating_duration_since(*last) < longest.1 - longest.0 + PATIENCE).then_some(longest)
}
