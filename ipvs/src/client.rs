//! The client: blocking calls on one socket.

use std::io;

use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR};

use crate::batch::{Answer, Ledger, Loss, MAX_BYTES, MAX_REQUESTS, Verdict};
use crate::codec::{
    Command, IpvsAttr, IpvsMessage, read_daemon, read_destination, read_info, read_service,
    read_timeouts, service_key_attrs,
};
use crate::model::{Daemon, DestinationEntry, Info, ServiceEntry, ServiceKey, Timeouts};
use crate::transport::{NetlinkTransport, Transport};
use crate::wire::{
    Frame, Frames, Meaning, push_family_lookup, push_request, read_family_id, read_message,
};
use crate::{Errno, Error, Operation, Request};

/// How often a listing is tried when the table changes under it, or an unread one is in the way.
const DUMP_ATTEMPTS: usize = 4;

/// Datagrams and errors in a row that bring an exchange no further, until it counts as unanswered. What
/// an earlier exchange left unread comes first, so it is more than one listing of a large table.
const MAX_STALE: usize = 65_536;

/// A connection to the IPVS of one network namespace: that of the thread which opened it.
///
/// Calls block, but never for ever: each answer is awaited for at most five seconds.
#[derive(Debug)]
pub struct Client<T = NetlinkTransport> {
    transport: T,
    family: u16,
    sequence: u32,
    sent: u64,
    sent_by_command: [u64; Command::ALL.len()],
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

/// What ends a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One reply.
    Single,
    /// Any number of replies and an end.
    Dump,
}

impl Client<NetlinkTransport> {
    /// Opens a socket and looks up the family, upon which the kernel loads the module `ip_vs` where it
    /// has one. No privilege is needed for this, but for everything after it.
    ///
    /// # Errors
    /// [`Error::NoIpvs`] where the kernel has none, otherwise the socket's.
    pub fn open() -> Result<Self, Error> {
        let transport = NetlinkTransport::open()
            .map_err(|source| Error::Io { request: Request::Open, source })?;
        Self::connect(transport)
    }
}

impl<T: Transport> Client<T> {
    /// Looks up the family over a transport.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn connect(transport: T) -> Result<Self, Error> {
        let mut client = Self::with_family(transport, 0);
        let sequence = client.number();
        push_family_lookup(&mut client.outgoing, sequence);
        client.sent += 1;
        let found =
            client.ask(&Request::Open, sequence, Shape::Single, |payload| read_family_id(payload));
        match found {
            Ok((families, _)) => {
                let source = || DecodeError::from("no family in the answer");
                client.family = families
                    .first()
                    .copied()
                    .ok_or_else(|| Error::Decode { request: Request::Open, source: source() })?;
                Ok(client)
            }
            Err(Error::Kernel { errno: Errno::ENOENT, .. }) => Err(Error::NoIpvs),
            Err(error) => Err(error),
        }
    }

    /// A client for a known family number.
    pub fn with_family(transport: T, family: u16) -> Self {
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

    /// Netlink requests sent so far, the look-up of the family included.
    pub fn requests(&self) -> u64 {
        self.sent
    }

    /// Netlink requests sent so far with one command.
    pub fn requests_with(&self, command: Command) -> u64 {
        self.sent_by_command.get(slot(command)).copied().unwrap_or_default()
    }

    /// Does one operation.
    ///
    /// # Errors
    /// The operation's, see [`Error`].
    pub fn execute(&mut self, operation: Operation) -> Result<(), Error> {
        // One operation gives one result.
        self.apply(&[operation]).pop().unwrap_or(Ok(()))
    }

    /// Does operations in order, many in one datagram, and gives each its own result, in the same order.
    /// One that fails stops no other: what depends on it fails by itself.
    ///
    /// An answer that got lost is an error of its operation ([`Error::is_uncertain`]), never a success.
    /// Once the kernel has stopped answering, the rest is [`Error::NotSent`].
    pub fn apply(&mut self, operations: &[Operation]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(operations.len());
        while let Some(rest) = operations.get(results.len()..).filter(|rest| !rest.is_empty()) {
            if self.apply_some(rest, &mut results) {
                let rest = operations.get(results.len()..).unwrap_or_default();
                results.extend(
                    rest.iter().map(|op| Err(Error::NotSent { request: op.clone().into() })),
                );
            }
        }
        results
    }

    /// Sends as many of `operations` as fit one datagram, at least one, and appends their results. Says
    /// whether the connection is of no more use.
    fn apply_some(
        &mut self,
        operations: &[Operation],
        results: &mut Vec<Result<(), Error>>,
    ) -> bool {
        self.outgoing.clear();
        let first = self.sequence.wrapping_add(1);
        let mut invalid = Vec::new();
        let mut taken = 0;
        let mut sent = 0;
        for operation in operations {
            if sent == MAX_REQUESTS || self.outgoing.len() >= MAX_BYTES {
                break;
            }
            taken += 1;
            match IpvsMessage::try_from(operation) {
                Ok(message) => {
                    invalid.push(None);
                    sent += 1;
                    self.push(NLM_F_ACK, message);
                }
                Err(problem) => invalid.push(Some(problem)),
            }
        }
        let mut ledger = Ledger::new(first, sent);
        let loss = if sent == 0 {
            None
        } else {
            match self.transport.send(&self.outgoing) {
                Ok(()) => self.receive(|frame| ledger.enter(frame)),
                Err(error) => Some(Loss::Io(error)),
            }
        };
        let mut answers = ledger.into_answers().into_iter();
        for (operation, problem) in operations.iter().take(taken).zip(invalid) {
            results.push(match problem {
                Some(problem) => Err(Error::Invalid { request: operation.clone().into(), problem }),
                None => outcome(operation, answers.next().flatten(), loss.as_ref()),
            });
        }
        matches!(loss, Some(Loss::Timeout | Loss::Io(_)))
    }

    /// All services. While others change the table, an entry may be missing or appear twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        self.dump(&Request::Services, &IpvsMessage::bare(Command::GetService), |message| {
            read_service(message.service()?)
        })
    }

    /// One service, `None` where it does not exist.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        let read = self.get(Request::Service(*key), about(Command::GetService, key), |message| {
            read_service(message.service()?)
        });
        match read {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The destinations of a service. *Empty also where the service does not exist*: the kernel makes no
    /// difference (`ip_vs_genl_dump_dests`); [`Client::service`] does.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let message = about(Command::GetDestination, key);
        self.dump(&Request::Destinations(*key), &message, |message| {
            read_destination(key.family(), message.destination()?)
        })
    }

    /// The destinations of several services, in the order of `keys`: one listing each, because a socket
    /// can have only one under way (`__netlink_dump_start` answers EBUSY to a second).
    ///
    /// # Errors
    /// The first that occurs.
    pub fn destinations_of(
        &mut self,
        keys: &[ServiceKey],
    ) -> Result<Vec<Vec<DestinationEntry>>, Error> {
        keys.iter().map(|key| self.destinations(key)).collect()
    }

    /// The sync daemons that run: none, one or both.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        self.dump(&Request::Daemons, &IpvsMessage::bare(Command::GetDaemon), |message| {
            read_daemon(message.daemon()?)
        })
    }

    /// The connection timeouts of the network namespace.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.get(Request::Timeouts, IpvsMessage::bare(Command::GetConfig), |message| {
            Ok(read_timeouts(&message.attrs))
        })
    }

    /// Version and size of the connection table.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn info(&mut self) -> Result<Info, Error> {
        self.get(Request::Info, IpvsMessage::bare(Command::GetInfo), |message| {
            read_info(&message.attrs)
        })
    }

    fn get<E>(
        &mut self,
        request: Request,
        message: IpvsMessage,
        read: impl Fn(&IpvsMessage) -> Result<E, DecodeError>,
    ) -> Result<E, Error> {
        self.outgoing.clear();
        let sequence = self.push(0, message);
        let (entries, _) =
            self.ask(&request, sequence, Shape::Single, |payload| read(&read_message(payload)?))?;
        entries.into_iter().next().ok_or(Error::NoReply { request })
    }

    fn dump<E>(
        &mut self,
        request: &Request,
        message: &IpvsMessage,
        read: impl Fn(&IpvsMessage) -> Result<E, DecodeError>,
    ) -> Result<Vec<E>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            self.outgoing.clear();
            let sequence = self.push(NLM_F_DUMP, message.clone());
            let listed =
                self.ask(request, sequence, Shape::Dump, |payload| read(&read_message(payload)?));
            match listed {
                Ok((entries, false)) => return Ok(entries),
                Ok((_, true)) => {}
                // A listing that was given up half-way is still under way on this socket.
                Err(Error::Kernel { errno: Errno::EBUSY, .. }) => self.drain(),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Interrupted { request: request.clone() })
    }

    /// Sends what is in `outgoing` and reads the replies with the sequence number. Says also whether the
    /// kernel marked them as inconsistent.
    fn ask<E>(
        &mut self,
        request: &Request,
        sequence: u32,
        shape: Shape,
        read: impl Fn(&[u8]) -> Result<E, DecodeError>,
    ) -> Result<(Vec<E>, bool), Error> {
        self.transport
            .send(&self.outgoing)
            .map_err(|source| Error::Io { request: request.clone(), source })?;
        let mut entries = Vec::new();
        let mut interrupted = false;
        let mut failure = None;
        let loss = self.receive(|frame| {
            if frame.sequence != sequence {
                return Verdict::Stale;
            }
            interrupted |= frame.flags & NLM_F_DUMP_INTR != 0;
            let meaning = match frame.meaning() {
                Ok(meaning) => meaning,
                Err(error) => {
                    failure.get_or_insert(Answer::Malformed(error));
                    return Verdict::Finished;
                }
            };
            match (meaning, shape) {
                (Meaning::Content(payload), _) => {
                    match read(payload) {
                        Ok(entry) => entries.push(entry),
                        // The rest of a listing is read all the same, so that it is out of the way.
                        Err(error) => {
                            failure.get_or_insert(Answer::Malformed(error));
                        }
                    }
                    if shape == Shape::Dump { Verdict::Progress } else { Verdict::Finished }
                }
                (Meaning::Refused(errno, message), _) => {
                    failure.get_or_insert(Answer::Refused(errno, message));
                    Verdict::Finished
                }
                (Meaning::End, Shape::Dump) => Verdict::Finished,
                (Meaning::Ack | Meaning::Noop | Meaning::End, _) => Verdict::Stale,
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
            (_, None) => Ok((entries, interrupted)),
        }
    }

    /// Hands frames to `enter` until it has what it wants. What it returns was lost on the way; after a
    /// loss it takes only what is there already, for the kernel has answered all it will by then.
    fn receive(&mut self, mut enter: impl FnMut(&Frame<'_>) -> Verdict) -> Option<Loss> {
        let mut loss = None;
        let mut stale = 0;
        while stale < MAX_STALE {
            stale += 1;
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
                    Ok(frame) => match enter(&frame) {
                        Verdict::Stale => {}
                        Verdict::Progress => stale = 0,
                        Verdict::Finished => return loss,
                    },
                    Err(error) => {
                        loss.get_or_insert(Loss::Malformed(error));
                    }
                }
            }
        }
        Some(loss.unwrap_or(Loss::Timeout))
    }

    /// Throws away what is there to read.
    fn drain(&mut self) {
        for _ in 0..MAX_STALE {
            match self.transport.recv(&mut self.incoming, false) {
                Err(error) if is_timeout(&error) => return,
                _ => {}
            }
        }
    }

    fn push(&mut self, flags: u16, message: IpvsMessage) -> u32 {
        let sequence = self.number();
        self.sent += 1;
        if let Some(count) = self.sent_by_command.get_mut(slot(message.command)) {
            *count += 1;
        }
        push_request(&mut self.outgoing, self.family, sequence, flags, message);
        sequence
    }

    fn number(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

fn outcome(
    operation: &Operation,
    answer: Option<Answer>,
    loss: Option<&Loss>,
) -> Result<(), Error> {
    let request = || Request::from(operation.clone());
    match (answer, loss) {
        (Some(Answer::Done), _) => Ok(()),
        (Some(Answer::Refused(errno, message)), _) => {
            Err(Error::Kernel { request: request(), errno, message })
        }
        (Some(Answer::Malformed(source)), _) => Err(Error::Decode { request: request(), source }),
        (None, Some(loss)) => Err(loss.error(request())),
        (None, None) => Err(Error::NoReply { request: request() }),
    }
}

fn about(command: Command, key: &ServiceKey) -> IpvsMessage {
    IpvsMessage { command, attrs: vec![IpvsAttr::Service(service_key_attrs(key))] }
}

/// Commands are numbered from 1.
fn slot(command: Command) -> usize {
    usize::from(command.number()).saturating_sub(1)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
