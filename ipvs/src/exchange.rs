//! Requests and answers on one transport: numbering, counting, matching.

use std::io;

use netlink_packet_core::{DecodeError, NLM_F_DUMP_INTR};

use crate::batch::{Answer, Loss};
use crate::codec::{Command, IpvsMessage};
use crate::transport::Transport;
use crate::wire::{Frame, Frames, Meaning, push_family_lookup, push_request, read_message};
use crate::{Errno, Error, Request};

/// Datagrams and errors that an exchange reads at most; more count as no answer. It is a listing of far
/// more than a table can hold, with what an earlier exchange left unread.
const MAX_READS: usize = 65_536;

/// What ends a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One reply.
    Single,
    /// Any number of replies and an end.
    Dump,
}

/// What a query read.
#[derive(Debug)]
pub(crate) struct Reply<E> {
    pub(crate) entries: Vec<E>,
    /// The kernel says that the table changed during the listing.
    pub(crate) interrupted: bool,
}

/// The datagram that is being filled, and the transport that it goes over.
#[derive(Debug)]
pub(crate) struct Exchange<T> {
    transport: T,
    family: u16,
    sequence: u32,
    sent: u64,
    sent_by_command: [u64; Command::ALL.len()],
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl<T> Exchange<T> {
    pub(crate) fn new(transport: T, family: u16) -> Self {
        Self {
            transport,
            family,
            sequence: 0,
            sent: 0,
            sent_by_command: [0; Command::ALL.len()],
            outgoing: Vec::new(),
            incoming: Vec::new(),
        }
    }

    pub(crate) fn into_transport(self) -> T {
        self.transport
    }

    pub(crate) fn set_family(&mut self, family: u16) {
        self.family = family;
    }

    /// Requests put into datagrams so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn sent_with(&self, command: Command) -> u64 {
        self.sent_by_command.get(slot(command)).copied().unwrap_or_default()
    }

    /// Begins a datagram, and gives the number of its first request.
    pub(crate) fn begin(&mut self) -> u32 {
        self.outgoing.clear();
        self.sequence.wrapping_add(1)
    }

    /// Bytes of the datagram so far.
    pub(crate) fn bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Appends a request to the datagram, and gives its number.
    pub(crate) fn push(&mut self, flags: u16, message: IpvsMessage) -> u32 {
        if let Some(count) = self.sent_by_command.get_mut(slot(message.command)) {
            *count += 1;
        }
        let sequence = self.number();
        push_request(&mut self.outgoing, self.family, sequence, flags, message);
        sequence
    }

    /// Appends the question for the family to the datagram, and gives its number.
    pub(crate) fn push_family_lookup(&mut self) -> u32 {
        let sequence = self.number();
        push_family_lookup(&mut self.outgoing, sequence);
        sequence
    }

    fn number(&mut self) -> u32 {
        self.sent += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

impl<T: Transport> Exchange<T> {
    /// Sends the datagram.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.transport.send(&self.outgoing)
    }

    /// Sends the datagram and reads what answers its request with this number.
    pub(crate) fn ask<E>(
        &mut self,
        request: &Request,
        sequence: u32,
        shape: Shape,
        read: impl Fn(&[u8]) -> Result<E, DecodeError>,
    ) -> Result<Reply<E>, Error> {
        self.send().map_err(|source| Error::Io { request: request.clone(), source })?;
        let mut reply = Reply { entries: Vec::new(), interrupted: false };
        let mut failure = None;
        let loss = self.receive(|frame| {
            if frame.sequence != sequence {
                return false;
            }
            reply.interrupted |= frame.flags & NLM_F_DUMP_INTR != 0;
            match (frame.meaning(), shape) {
                (Ok(Meaning::Content(payload)), _) => {
                    match read(payload) {
                        Ok(entry) => reply.entries.push(entry),
                        // The rest of a listing is read all the same, so that it is out of the way.
                        Err(error) => {
                            failure.get_or_insert(Answer::Malformed(error));
                        }
                    }
                    shape == Shape::Single
                }
                (Ok(Meaning::Refused(errno, message)), _) => {
                    failure.get_or_insert(Answer::Refused(errno, message));
                    true
                }
                (Err(error), _) => {
                    failure.get_or_insert(Answer::Malformed(error));
                    true
                }
                (Ok(Meaning::End), Shape::Dump) => true,
                (Ok(Meaning::Ack | Meaning::Noop | Meaning::End), _) => false,
            }
        });
        match (failure, loss) {
            (Some(Answer::Refused(errno, message)), _) => {
                Err(Error::Kernel { request: request.clone(), errno, message })
            }
            (Some(Answer::Malformed(source)), _) => {
                Err(Error::Decode { request: request.clone(), source })
            }
            // Where something got lost it may have been a part of this answer.
            (_, Some(loss)) => Err(loss.error(request.clone())),
            (_, None) => Ok(reply),
        }
    }

    /// As [`Exchange::ask`], for messages of the family.
    pub(crate) fn ask_ipvs<E>(
        &mut self,
        request: &Request,
        sequence: u32,
        shape: Shape,
        read: impl Fn(&IpvsMessage) -> Result<E, DecodeError>,
    ) -> Result<Reply<E>, Error> {
        self.ask(request, sequence, shape, |payload| read(&read_message(payload)?))
    }

    /// Hands frames to `enter` until it says that it has all it wants. What it returns was lost on the way; after a
    /// loss it takes only what is there already, for the kernel has answered all it will by then.
    pub(crate) fn receive(&mut self, mut enter: impl FnMut(&Frame<'_>) -> bool) -> Option<Loss> {
        let mut loss = None;
        for _ in 0..MAX_READS {
            match self.transport.recv(&mut self.incoming, loss.is_none()) {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if Errno::ENOBUFS.is(&error) => {
                    loss.get_or_insert(Loss::Overrun);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    loss.get_or_insert(Loss::Io(error));
                    continue;
                }
                Err(error) => return Some(Loss::Io(error)),
            }
            for frame in Frames::new(&self.incoming) {
                match frame {
                    Ok(frame) if enter(&frame) => return loss,
                    Ok(_) => {}
                    Err(error) => {
                        loss.get_or_insert(Loss::Malformed(error));
                    }
                }
            }
        }
        Some(loss.unwrap_or(Loss::Timeout))
    }

    /// Throws away what is there to read.
    pub(crate) fn drain(&mut self) {
        for _ in 0..MAX_READS {
            match self.transport.recv(&mut self.incoming, false) {
                Err(error) if is_timeout(&error) => return,
                _ => {}
            }
        }
    }
}

/// Commands are numbered from 1.
fn slot(command: Command) -> usize {
    usize::from(command.number()).saturating_sub(1)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
