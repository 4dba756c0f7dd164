//! Netlink framing: requests into datagrams, datagrams into frames.

use netlink_packet_core::{
    DecodeError, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
    Parseable, ParseableParametrized, parse_i32, parse_u16,
};
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use crate::Errno;
use crate::codec::IpvsMessage;

/// `sizeof(struct nlmsghdr)`.
const HEADER_BYTES: usize = 16;
/// `NLMSGERR_ATTR_MSG`: the kernel's words on a refusal.
const ERROR_ATTR_MSG: u16 = 1;

/// Appends one request to a datagram.
pub(crate) fn push_request(
    datagram: &mut Vec<u8>,
    family: u16,
    sequence: u32,
    flags: u16,
    message: IpvsMessage,
) {
    push(datagram, GenlMessage::from_payload(message), family, sequence, flags);
}

/// Appends the question for the family's number.
pub(crate) fn push_family_lookup(datagram: &mut Vec<u8>, sequence: u32) {
    let lookup = GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(IpvsMessage::family_name().to_owned())],
    };
    push(datagram, GenlMessage::from_payload(lookup), 0, sequence, 0);
}

fn push<F>(
    datagram: &mut Vec<u8>,
    mut message: GenlMessage<F>,
    family: u16,
    sequence: u32,
    flags: u16,
) where
    F: GenlFamily + netlink_packet_core::Emitable + std::fmt::Debug,
{
    message.set_resolved_family_id(family);
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = datagram.len();
    // Attributes are padded to four bytes, so the next request starts aligned.
    datagram.resize(start + message.buffer_len(), 0);
    if let Some(room) = datagram.get_mut(start..) {
        message.serialize(room);
    }
}

/// One message of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) sequence: u32,
    pub(crate) flags: u16,
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

/// What a frame means.
#[derive(Debug)]
pub(crate) enum Meaning<'a> {
    /// Done as asked.
    Ack,
    /// Refused, with the kernel's words if it has any.
    Refused(Errno, Option<String>),
    /// End of a dump.
    End,
    /// Content.
    Content(&'a [u8]),
    /// Nothing.
    Noop,
}

impl<'a> Frame<'a> {
    /// Reads the frame's kind and, of the control kinds, the content.
    pub(crate) fn meaning(&self) -> Result<Meaning<'a>, DecodeError> {
        Ok(match self.kind {
            NLMSG_NOOP => Meaning::Noop,
            // Linux never sends it; if it did, answers would be missing.
            NLMSG_OVERRUN => Meaning::Refused(Errno::ENOBUFS, None),
            NLMSG_ERROR => match code(self.payload)? {
                0 => Meaning::Ack,
                code => Meaning::Refused(errno(code), self.kernel_words()),
            },
            // A dump that broke off says so at its end (netlink_dump_done).
            NLMSG_DONE => match code(self.payload).unwrap_or_default() {
                code if code < 0 => Meaning::Refused(errno(code), None),
                _ => Meaning::End,
            },
            _ => Meaning::Content(self.payload),
        })
    }

    /// The text attribute behind a refusal: `struct nlmsgerr` is the code and the request's header,
    /// then the request itself unless capped, then the attributes.
    fn kernel_words(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let request_bytes = if self.flags & NLM_F_CAPPED != 0 {
            HEADER_BYTES
        } else {
            self.payload.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)? as usize
        };
        let start = 4usize.checked_add(request_bytes)?.checked_next_multiple_of(4)?;
        let text = NlasIterator::new(self.payload.get(start..)?)
            .map_while(Result::ok)
            .find(|nla| nla.kind() == ERROR_ATTR_MSG)?;
        let text = String::from_utf8_lossy(text.value()).trim_end_matches('\0').to_owned();
        (!text.is_empty()).then_some(text)
    }
}

fn code(payload: &[u8]) -> Result<i32, DecodeError> {
    parse_i32(payload.get(..4).unwrap_or_default())
}

fn errno(code: i32) -> Errno {
    Errno(code.checked_abs().unwrap_or(i32::MAX))
}

/// The frames of a datagram, until its end or the first that does not fit.
#[derive(Debug)]
pub(crate) struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let header = match NetlinkBuffer::new_checked(rest)
            .and_then(|buffer| NetlinkHeader::parse(&NetlinkBuffer::new(&buffer.into_inner())))
        {
            Ok(header) => header,
            Err(error) => return Some(Err(error)),
        };
        let length = header.length as usize;
        // The last frame's padding may be absent.
        self.0 = length.checked_next_multiple_of(4).and_then(|end| rest.get(end..)).unwrap_or(&[]);
        Some(Ok(Frame {
            sequence: header.sequence_number,
            flags: header.flags,
            kind: header.message_type,
            payload: rest.get(HEADER_BYTES..length).unwrap_or_default(),
        }))
    }
}

/// Reads a message of the family from a frame's payload.
pub(crate) fn read_message(payload: &[u8]) -> Result<IpvsMessage, DecodeError> {
    let header = GenlHeader::parse(payload)?;
    IpvsMessage::parse_with_param(payload.get(GENL_HDRLEN..).unwrap_or_default(), header)
}

/// Reads the family's number from a reply of the controller. Only that attribute: the decoder of
/// netlink-packet-generic fails on attributes that are newer than itself.
pub(crate) fn read_family_id(payload: &[u8]) -> Result<u16, DecodeError> {
    for nla in NlasIterator::new(payload.get(GENL_HDRLEN..).unwrap_or_default()) {
        let nla = nla?;
        if nla.kind() == CTRL_ATTR_FAMILY_ID {
            return parse_u16(nla.value());
        }
    }
    Err(DecodeError::from("attribute CTRL_ATTR_FAMILY_ID is missing"))
}
