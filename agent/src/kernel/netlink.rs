//! Netlink, blocking: listings, many changes in one send, and transactions.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Room for one datagram: the kernel makes those of a listing at most 32 KiB (`netlink_recvmsg`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// Asked of the receive queue; the kernel grants at most `net.core.rmem_max`.
const QUEUE_BYTES: usize = 1 << 20;
/// The kernel works a request off before `send` returns.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Changes in one datagram: their answers must fit the receive queue, however small.
const BATCH: usize = 64;
/// How often a listing is tried while what it lists keeps changing.
const ATTEMPTS: usize = 4;

/// The messages of one netlink protocol.
pub(crate) trait Protocol: NetlinkSerializable + NetlinkDeserializable + Clone {
    /// The protocol's number.
    const NUMBER: isize;
}

impl Protocol for RouteNetlinkMessage {
    const NUMBER: isize = NETLINK_ROUTE;
}

/// rtnetlink.
pub(crate) type Rtnetlink = Netlink<RouteNetlinkMessage>;

/// A socket of the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Netlink<M> {
    socket: Socket,
    sequence: u32,
    sent: u64,
    incoming: Vec<u8>,
    messages: PhantomData<M>,
}

/// What one message says about a request.
enum Answer<M> {
    Item(M),
    /// 0: done.
    End(i32),
    Other,
}

impl<M: Protocol> Netlink<M> {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(M::NUMBER)?;
        socket.bind_auto()?;
        // A connected socket takes messages from the kernel alone, not from other processes.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_rx_buf_sz(QUEUE_BYTES)?;
        socket.set_cap_ack(true)?;
        // The timeouts belong to the open file that both descriptors share; netlink-sys cannot set them.
        let timer = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
        timer.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        timer.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket, sequence: 0, sent: 0, incoming: Vec::new(), messages: PhantomData })
    }

    /// As [`Rtnetlink::open`]; a listing is narrowed to what its request names, where the kernel (from 4.20) can.
    pub(crate) fn open_strict() -> io::Result<Self> {
        let opened = Self::open()?;
        if let Err(error) = opened.socket.set_netlink_get_strict_chk(true) {
            tracing::debug!(%error, "listings are not narrowed by the kernel");
        }
        Ok(opened)
    }

    /// Requests sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// All objects of a kind. What cannot be decoded is left out: one strange object hides no other.
    pub(crate) fn list(&mut self, request: &M) -> io::Result<Vec<M>> {
        self.gather(request, &mut |item| Some(item))
    }

    /// What `pick` makes of all objects of a kind; only that is kept, however long the listing is.
    pub(crate) fn gather<T>(
        &mut self,
        request: &M,
        pick: &mut dyn FnMut(M) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..ATTEMPTS {
            match self.gather_once(request, NLM_F_DUMP, pick) {
                Ok(Some(items)) => return Ok(items),
                Ok(None) => {}
                // Datagrams got lost; the rest of the listing is passed over by its sequence number.
                Err(error) if error.raw_os_error() == Some(lvs_ipvs::Errno::ENOBUFS.0) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("what was listed kept changing"))
    }

    /// The one object that a request names.
    pub(crate) fn get(&mut self, request: &M) -> io::Result<Option<M>> {
        let items = self.gather_once(request, NLM_F_ACK, &mut |item| Some(item))?;
        Ok(items.unwrap_or_default().pop())
    }

    /// `None` when what was listed changed meanwhile.
    fn gather_once<T>(
        &mut self,
        request: &M,
        flags: u16,
        pick: &mut dyn FnMut(M) -> Option<T>,
    ) -> io::Result<Option<Vec<T>>> {
        let mut datagram = Vec::new();
        let sequence = self.push(&mut datagram, request.clone(), flags);
        self.send(&datagram)?;
        let (mut items, mut end, mut interrupted) = (Vec::new(), None, false);
        while end.is_none() {
            self.receive(|header, answer| {
                if header.sequence_number != sequence {
                    return;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match answer {
                    Answer::Item(item) => items.extend(pick(item)),
                    Answer::End(code) => end = Some(code),
                    Answer::Other => {}
                }
            })?;
        }
        match end {
            Some(0) if interrupted => Ok(None),
            Some(0) | None => Ok(Some(items)),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Makes changes in order, a result each; one that fails stops no other.
    pub(crate) fn change(
        &mut self,
        requests: impl IntoIterator<Item = (M, u16)>,
    ) -> Vec<io::Result<()>> {
        let mut requests = requests.into_iter().peekable();
        let mut results = Vec::new();
        while requests.peek().is_some() {
            let mut datagram = Vec::new();
            let first = self.sequence.wrapping_add(1);
            let mut count = 0;
            for (request, flags) in requests.by_ref().take(BATCH) {
                self.push(&mut datagram, request, flags | NLM_F_ACK);
                count += 1;
            }
            let mut answers: Vec<Option<i32>> = vec![None; count];
            let failure = self.exchange(&datagram, first, &mut answers).err();
            results.extend(answers.into_iter().map(|answer| match (answer, &failure) {
                (Some(0), _) => Ok(()),
                (Some(code), _) => Err(io::Error::from_raw_os_error(code)),
                // Not an errno of this change: it may have happened.
                (None, Some(error)) => Err(io::Error::new(error.kind(), error.to_string())),
                (None, None) => Err(io::ErrorKind::TimedOut.into()),
            }));
        }
        results
    }

    /// Sends messages that the kernel takes as one: the first one opens and the last one closes the transaction, and the last
    /// but one is acknowledged. The errors, by the places of the messages that they are about.
    pub(crate) fn transact(
        &mut self,
        messages: impl IntoIterator<Item = (M, u16)>,
    ) -> io::Result<BTreeMap<usize, i32>> {
        self.batch(messages, 2)
    }

    /// The same of a transaction that nothing closes, and whose last message is acknowledged: the kernel looks at all of it and
    /// does nothing (nfnetlink_rcv_batch; `nft --check` does so).
    pub(crate) fn rehearse(
        &mut self,
        messages: impl IntoIterator<Item = (M, u16)>,
    ) -> io::Result<BTreeMap<usize, i32>> {
        self.batch(messages, 1)
    }

    /// The acknowledged message is so many from the end.
    fn batch(
        &mut self,
        messages: impl IntoIterator<Item = (M, u16)>,
        acknowledged: usize,
    ) -> io::Result<BTreeMap<usize, i32>> {
        let mut datagram = Vec::new();
        let first = self.sequence.wrapping_add(1);
        let mut count: usize = 0;
        for (message, flags) in messages {
            self.push(&mut datagram, message, flags);
            count += 1;
        }
        // It has to fit the send buffer whole (netlink_sendmsg: EMSGSIZE). Where this is refused, small ones still do.
        let room = datagram.len().saturating_mul(2).max(QUEUE_BYTES);
        if let Err(error) = setsockopt(&self.socket.as_fd(), sockopt::SndBufForce, &room) {
            tracing::debug!(%error, "the send buffer keeps its size");
        }
        self.send(&datagram)?;
        let mut errors = BTreeMap::new();
        let mut answered = false;
        while !answered {
            self.receive(|header, answer| {
                let place = header.sequence_number.wrapping_sub(first);
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                if let (Answer::End(code), true) = (answer, place < count) {
                    // What is about the whole (nfnetlink_rcv_batch) names the first message.
                    answered |= place == 0 || place.saturating_add(acknowledged) == count;
                    if code != 0 {
                        errors.insert(place, code);
                    }
                }
            })?;
        }
        Ok(errors)
    }

    fn exchange(
        &mut self,
        datagram: &[u8],
        first: u32,
        answers: &mut [Option<i32>],
    ) -> io::Result<()> {
        self.send(datagram)?;
        while answers.iter().any(Option::is_none) {
            self.receive(|header, answer| {
                let place = header.sequence_number.wrapping_sub(first);
                let slot = usize::try_from(place).ok().and_then(|place| answers.get_mut(place));
                if let (Some(slot), Answer::End(code)) = (slot, answer) {
                    *slot = Some(code);
                }
            })?;
        }
        Ok(())
    }

    fn push(&mut self, datagram: &mut Vec<u8>, request: M, flags: u16) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let start = datagram.len();
        datagram.resize(start + message.buffer_len(), 0);
        if let Some(room) = datagram.get_mut(start..) {
            message.serialize(room);
        }
        // Messages begin at multiples of four (NLMSG_ALIGNTO).
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        self.sequence
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(|_| ()),
            }
        }
    }

    /// Reads one datagram.
    fn receive(&mut self, mut each: impl FnMut(&NetlinkHeader, Answer<M>)) -> io::Result<()> {
        self.incoming.clear();
        self.incoming.reserve(RECEIVE_BYTES);
        loop {
            match self.socket.recv(&mut self.incoming, 0) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => {
                    received?;
                    break;
                }
            }
        }
        let mut rest = self.incoming.as_slice();
        while let Ok(length) = NetlinkBuffer::new_checked(&rest).map(|message| message.length()) {
            let Ok(length) = usize::try_from(length) else { break };
            let Some(message) = rest.get(..length) else { break };
            match NetlinkMessage::<M>::deserialize(message) {
                Ok(message) => {
                    let (header, payload) = message.into_parts();
                    let answer = match payload {
                        NetlinkPayload::InnerMessage(item) => Answer::Item(item),
                        NetlinkPayload::Done(done) => Answer::End(-done.code),
                        NetlinkPayload::Error(error) => Answer::End(-error.raw_code()),
                        _ => Answer::Other,
                    };
                    each(&header, answer);
                }
                Err(error) => tracing::debug!(%error, "a netlink message was not understood"),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}
