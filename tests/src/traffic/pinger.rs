use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::net::Node;

/// One echo that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Whom.
    pub address: Ipv4Addr,
    /// When.
    pub asked: Instant,
    /// The moment of its answer.
    pub answered: Instant,
}

/// Pings several addresses in turns, for what a connection to each would cost too much.
#[derive(Debug)]
pub struct Pinger {
    ended: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Instant>>,
    hearing: JoinHandle<Vec<(usize, usize, Instant)>>,
    addresses: Vec<Ipv4Addr>,
}

impl Pinger {
    /// Pings all of `addresses` from `node`, a round every `interval`.
    ///
    /// # Errors
    /// When there is no raw socket to be had.
    pub fn start(
        node: &Node,
        addresses: &[Ipv4Addr],
        interval: Duration,
    ) -> anyhow::Result<Pinger> {
        let open = || {
            let flags = SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)
        };
        let socket = Arc::new(node.run(open)?);
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(100))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (hears, until) = (Arc::clone(&socket), Arc::clone(&ended));
        let hearing = spawn(move || {
            let mut answers = Vec::new();
            let mut buffer = [0; 256];
            while !until.load(Ordering::Relaxed) {
                let Ok(length) = recv(hears.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
                    continue;
                };
                let now = Instant::now();
                // A raw socket gives the IP header too (raw(7)); ours have no options.
                let [0, 0, _, _, a, b, c, d, ..] = buffer[20..length.max(20)] else { continue };
                let index = usize::from(u16::from_be_bytes([a, b]));
                answers.push((index, usize::from(u16::from_be_bytes([c, d])), now));
            }
            answers
        });
        let (to, until) = (addresses.to_vec(), Arc::clone(&ended));
        let asking = spawn(move || {
            let mut rounds = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let round = u16::try_from(rounds.len()).unwrap_or(u16::MAX);
                rounds.push(Instant::now());
                for (index, address) in (0..).zip(&to) {
                    let to = SockaddrIn::from(std::net::SocketAddrV4::new(*address, 0));
                    // While nobody has it there is no route to it.
                    let _ = sendto(socket.as_raw_fd(), &echo(index, round), &to, MsgFlags::empty());
                }
                sleep(interval);
            }
            rounds
        });
        Ok(Pinger { ended, asking, hearing, addresses: addresses.to_vec() })
    }

    /// Ends it: what was answered.
    pub fn end(self) -> Vec<Echo> {
        self.ended.store(true, Ordering::Relaxed);
        let (rounds, answers) = (self.asking.join(), self.hearing.join());
        let (rounds, answers) = (rounds.unwrap_or_default(), answers.unwrap_or_default());
        let told = |(index, round, answered): (usize, usize, Instant)| {
            let (address, asked) = (*self.addresses.get(index)?, *rounds.get(round)?);
            Some(Echo { address, asked, answered })
        };
        answers.into_iter().filter_map(told).collect()
    }
}

/// An echo request (RFC 792) whose identifier and sequence number say whom it asks and when.
fn echo(index: u16, round: u16) -> [u8; 8] {
    let ([a, b], [c, d]) = (index.to_be_bytes(), round.to_be_bytes());
    let sum = 0x0800 + u32::from(index) + u32::from(round);
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [e, f] = (!u16::try_from(folded).unwrap_or(0)).to_be_bytes();
    [8, 0, e, f, a, b, c, d]
}
