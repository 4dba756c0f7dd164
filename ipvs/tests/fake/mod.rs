//! A kernel made of a closure: it gets each datagram's requests and says what comes back.

#![allow(dead_code)] // Each test binary uses its part.
#![allow(clippy::expect_used, clippy::panic)] // Test code, also where no #[test] is near.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use lvs_ipvs::Transport;
use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR};

pub const FAMILY: u16 = 31;
pub const ENOBUFS: i32 = 105;
pub const EBUSY: i32 = 16;

/// What a read of the socket gives.
#[derive(Debug, Clone)]
pub enum Step {
    /// A datagram.
    Datagram(Vec<u8>),
    /// An error number.
    Fails(i32),
}

/// A request as the kernel sees it.
#[derive(Debug, Clone)]
pub struct Request {
    pub sequence: u32,
    pub flags: u16,
    pub command: u8,
    pub bytes: usize,
    /// What had not been read when it was sent.
    pub unread: usize,
}

type Kernel = Box<dyn FnMut(&[Request]) -> Vec<Step>>;

/// The transport; reading without anything queued is a timeout.
pub struct Fake {
    kernel: Kernel,
    queue: VecDeque<Step>,
    sent: Rc<RefCell<Vec<Vec<Request>>>>,
}

impl Fake {
    /// Also gives the requests of each datagram sent.
    pub fn new(
        kernel: impl FnMut(&[Request]) -> Vec<Step> + 'static,
    ) -> (Self, Rc<RefCell<Vec<Vec<Request>>>>) {
        let sent = Rc::new(RefCell::new(Vec::new()));
        (Self { kernel: Box::new(kernel), queue: VecDeque::new(), sent: sent.clone() }, sent)
    }
}

impl Transport for Fake {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let requests = requests(datagram, self.queue.len());
        self.queue.extend((self.kernel)(&requests));
        self.sent.borrow_mut().push(requests);
        Ok(())
    }

    fn recv(&mut self, into: &mut Vec<u8>, _wait: bool) -> io::Result<()> {
        into.clear();
        match self.queue.pop_front() {
            Some(Step::Datagram(bytes)) => into.extend(bytes),
            Some(Step::Fails(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            None => return Err(io::ErrorKind::WouldBlock.into()),
        }
        Ok(())
    }
}

/// The requests of a datagram.
fn requests(mut datagram: &[u8], unread: usize) -> Vec<Request> {
    let mut requests = Vec::new();
    while !datagram.is_empty() {
        let word = |at: usize| u32::from_ne_bytes(datagram[at..at + 4].try_into().expect("four"));
        let bytes = word(0) as usize;
        requests.push(Request {
            sequence: word(8),
            flags: u16::from_ne_bytes([datagram[6], datagram[7]]),
            command: datagram[16],
            bytes,
            unread,
        });
        assert_eq!(bytes % 4, 0, "requests stand aligned");
        datagram = &datagram[bytes..];
    }
    requests
}

/// A message.
pub fn frame(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((16 + payload.len() as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An acknowledgement, or a refusal with an error number.
pub fn ack(sequence: u32, errno: i32) -> Step {
    let mut payload = (-errno).to_ne_bytes().to_vec();
    payload.resize(20, 0);
    Step::Datagram(frame(NLMSG_ERROR, 0x100, sequence, &payload))
}

/// All acknowledged.
pub fn all(requests: &[Request]) -> Vec<Step> {
    requests.iter().map(|request| ack(request.sequence, 0)).collect()
}

/// The end of a dump, with an error number where it broke off.
pub fn done(sequence: u32, flags: u16, errno: i32) -> Vec<u8> {
    frame(NLMSG_DONE, 2 | flags, sequence, &(-errno).to_ne_bytes())
}
