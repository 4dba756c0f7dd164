//! The generic netlink family `fou` (include/uapi/linux/fou.h): UDP ports at which the kernel takes GUE.

use lvs_ipvs::{Errno, Family};
use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator, parse_i32,
    parse_u16,
};
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use std::collections::BTreeSet;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::Duration;

const FAMILY: &str = "fou";
const VERSION: u8 = 1;

const CMD_ADD: u8 = 1;
const CMD_DEL: u8 = 2;
const CMD_GET: u8 = 3;

const ATTR_PORT: u16 = 1;
const ATTR_AF: u16 = 2;
const ATTR_TYPE: u16 = 4;
/// `FOU_ENCAP_GUE`.
const TYPE_GUE: u8 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Room for one datagram: the kernel makes those of a listing at most 32 KiB (`netlink_recvmsg`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// The kernel works a request off before `send` returns.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_BYTES: usize = 16;

/// A UDP port of a family.
pub(super) type Port = (Family, u16);

/// A socket of the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Fou {
    socket: Socket,
    /// The family's number, once known.
    family: Option<u16>,
    sequence: u32,
    sent: u64,
}

impl Fou {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        // A connected socket takes messages from the kernel alone, not from other processes.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        // The timeouts belong to the open file that both descriptors share; netlink-sys cannot set them.
        let timer = UdpSocket::from(socket.as_fd().try_clone_to_owned()?);
        timer.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        timer.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { socket, family: None, sequence: 0, sent: 0 })
    }

    /// Requests sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the kernel has the family. Nothing loads its module: it has no `MODULE_ALIAS_GENL_FAMILY`.
    pub(super) fn is_there(&mut self) -> io::Result<bool> {
        match self.number() {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT.0) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes GUE at a port of every address, of IPv6 without IPv4. EADDRINUSE: the port is taken, by whatever.
    pub(super) fn add(&mut self, port: Port) -> io::Result<()> {
        self.change(CMD_ADD, port)
    }

    /// Frees the port. EINVAL: there was none.
    pub(super) fn remove(&mut self, port: Port) -> io::Result<()> {
        self.change(CMD_DEL, port)
    }

    fn change(&mut self, command: u8, (family, port): Port) -> io::Result<()> {
        let attributes = vec![
            DefaultNla::new(ATTR_PORT, port.to_be_bytes().to_vec()),
            DefaultNla::new(ATTR_AF, vec![address_family(family)]),
            DefaultNla::new(ATTR_TYPE, vec![TYPE_GUE]),
        ];
        let number = self.number()?;
        let message = GenlMessage::from_payload(FouMessage { command, attributes });
        let answer = self.ask(message, number, NLM_F_ACK, |_| {});
        self.noted(answer)
    }

    /// Ports at which GUE is taken on every address, by whomever they were made.
    pub(super) fn list(&mut self) -> io::Result<BTreeSet<Port>> {
        let number = self.number()?;
        let message =
            GenlMessage::from_payload(FouMessage { command: CMD_GET, attributes: Vec::new() });
        let mut ports = BTreeSet::new();
        let answer =
            self.ask(message, number, NLM_F_DUMP, |payload| ports.extend(gue_port(payload)));
        self.noted(answer)?;
        Ok(ports)
    }

    /// A module that was loaded anew has another number: the next question asks for it.
    fn noted(&mut self, answer: io::Result<()>) -> io::Result<()> {
        if answer.as_ref().is_err_and(|it| it.raw_os_error() == Some(Errno::ENOENT.0)) {
            self.family = None;
        }
        answer
    }

    fn number(&mut self) -> io::Result<u16> {
        if let Some(number) = self.family {
            return Ok(number);
        }
        let lookup = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())],
        });
        let mut number = None;
        self.ask(lookup, 0, NLM_F_ACK, |payload| number = number.or(family_number(payload)))?;
        self.family = number;
        number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Sends a request and reads its answers up to the end or the acknowledgement.
    fn ask<F: GenlFamily + Emitable + std::fmt::Debug>(
        &mut self,
        mut message: GenlMessage<F>,
        number: u16,
        flags: u16,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        message.set_resolved_family_id(number);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut datagram = vec![0; message.buffer_len()];
        message.serialize(&mut datagram);
        retry(|| self.socket.send(&datagram, 0))?;
        let mut incoming = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            incoming.clear();
            retry(|| self.socket.recv(&mut incoming, 0))?;
            if let Some(end) = read(&incoming, self.sequence, &mut each) {
                return end;
            }
        }
    }
}

/// Hands the content that answers a request to `each`; gives the request's end, if it is there.
fn read(
    mut datagram: &[u8],
    sequence: u32,
    each: &mut impl FnMut(&[u8]),
) -> Option<io::Result<()>> {
    while let Ok(frame) = NetlinkBuffer::new_checked(datagram) {
        let length = usize::try_from(frame.length()).unwrap_or(usize::MAX);
        let payload = datagram.get(HEADER_BYTES..length).unwrap_or_default();
        if frame.sequence_number() == sequence {
            match frame.message_type() {
                NLMSG_ERROR | NLMSG_DONE => {
                    return Some(match parse_i32(payload.get(..4).unwrap_or_default()) {
                        Ok(code) if code < 0 => {
                            Err(io::Error::from_raw_os_error(code.saturating_neg()))
                        }
                        _ => Ok(()),
                    });
                }
                _ => each(payload),
            }
        }
        datagram = length.checked_next_multiple_of(4).and_then(|end| datagram.get(end..))?;
    }
    None
}

fn attributes(payload: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let attributes = NlasIterator::new(payload.get(GENL_HDRLEN..).unwrap_or_default());
    attributes.map_while(Result::ok).map(|nla| (nla.kind(), nla.into_inner())).map(|(kind, raw)| {
        let value: &[u8] = raw;
        (kind, value.get(4..).unwrap_or_default())
    })
}

fn family_number(payload: &[u8]) -> Option<u16> {
    let (_, value) = attributes(payload).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?;
    parse_u16(value.get(..2)?).ok()
}

/// The port of one listed socket. One bound to an address or connected to a peer does not serve everybody: it has
/// another use, and is left out.
fn gue_port(payload: &[u8]) -> Option<Port> {
    let (mut family, mut port, mut gue, mut bound) = (None, None, false, false);
    for (kind, value) in attributes(payload) {
        match kind {
            ATTR_PORT => port = Some(u16::from_be_bytes(value.get(..2)?.try_into().ok()?)),
            ATTR_AF => family = of_address_family(*value.first()?),
            ATTR_TYPE => gue = *value.first()? == TYPE_GUE,
            ATTR_LOCAL_V4 | ATTR_PEER_V4 => bound |= value.iter().take(4).any(|byte| *byte != 0),
            ATTR_LOCAL_V6 | ATTR_PEER_V6 => bound |= value.iter().take(16).any(|byte| *byte != 0),
            _ => {}
        }
    }
    (gue && !bound).then_some((family?, port?))
}

const ATTR_LOCAL_V4: u16 = 6;
const ATTR_LOCAL_V6: u16 = 7;
const ATTR_PEER_V4: u16 = 8;
const ATTR_PEER_V6: u16 = 9;

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn address_family(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

fn of_address_family(number: u8) -> Option<Family> {
    match number {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

/// One request.
#[derive(Debug)]
struct FouMessage {
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for FouMessage {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for FouMessage {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(attributes: Vec<DefaultNla>) -> Vec<u8> {
        let mut payload = vec![0; GENL_HDRLEN];
        let start = payload.len();
        payload.resize(start + attributes.as_slice().buffer_len(), 0);
        attributes.as_slice().emit(&mut payload[start..]);
        payload
    }

    #[test]
    fn only_gue_for_everybody_counts() {
        let port = DefaultNla::new(ATTR_PORT, vec![0x17, 0xc0]);
        let family = DefaultNla::new(ATTR_AF, vec![AF_INET]);
        let gue = DefaultNla::new(ATTR_TYPE, vec![TYPE_GUE]);
        let plain = listed(vec![port.clone(), family.clone(), gue.clone()]);
        assert_eq!(gue_port(&plain), Some((Family::V4, 6080)));
        let direct = DefaultNla::new(ATTR_TYPE, vec![1]);
        assert_eq!(gue_port(&listed(vec![port.clone(), family.clone(), direct])), None);
        let local = DefaultNla::new(ATTR_LOCAL_V4, vec![10, 0, 0, 1]);
        assert_eq!(gue_port(&listed(vec![port, family, gue, local])), None);
        for cut in 0..plain.len() {
            let _ = gue_port(&plain[..cut]);
        }
    }
}
