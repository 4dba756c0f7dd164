//! The client: blocking calls on one socket.

use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP};

use crate::batch::{Answer, Ledger, Loss, MAX_BYTES, MAX_REQUESTS};
use crate::codec::{
    Command, IpvsAttr, IpvsMessage, read_daemon, read_destination, read_info, read_service,
    read_timeouts, service_key_attrs,
};
use crate::exchange::{Exchange, Shape};
use crate::model::{Daemon, DestinationEntry, Info, ServiceEntry, ServiceKey, Timeouts};
use crate::transport::{NetlinkTransport, Transport};
use crate::wire::read_family_id;
use crate::{Errno, Error, Operation, Request};

/// How often a listing is tried when the table changes under it, or an unread one is in the way.
const DUMP_ATTEMPTS: usize = 4;

/// A connection to the IPVS of one network namespace: that of the thread which opened it.
///
/// Calls block, but never for ever: each answer is awaited for at most a second.
#[derive(Debug)]
pub struct Client<T = NetlinkTransport> {
    exchange: Exchange<T>,
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
        client.exchange.begin();
        let sequence = client.exchange.push_family_lookup();
        let found = client.exchange.ask(&Request::Open, sequence, Shape::Single, read_family_id);
        match found {
            Ok(reply) => {
                // A single reply without a refusal has one entry.
                client.exchange.set_family(reply.entries.first().copied().unwrap_or_default());
                Ok(client)
            }
            Err(Error::Kernel { errno: Errno::ENOENT, .. }) => Err(Error::NoIpvs),
            Err(error) => Err(error),
        }
    }

    /// A client for a known family number.
    pub fn with_family(transport: T, family: u16) -> Self {
        Self { exchange: Exchange::new(transport, family) }
    }

    /// Gives the transport back.
    pub fn into_transport(self) -> T {
        self.exchange.into_transport()
    }

    /// Netlink requests sent so far, the look-up of the family included.
    pub fn requests(&self) -> u64 {
        self.exchange.sent()
    }

    /// Netlink requests sent so far with one command.
    pub fn requests_with(&self, command: Command) -> u64 {
        self.exchange.sent_with(command)
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
        let first = self.exchange.begin();
        let mut invalid = Vec::new();
        let mut taken = 0;
        let mut sent = 0;
        for operation in operations {
            if sent == MAX_REQUESTS || self.exchange.bytes() >= MAX_BYTES {
                break;
            }
            taken += 1;
            match IpvsMessage::try_from(operation) {
                Ok(message) => {
                    invalid.push(None);
                    sent += 1;
                    self.exchange.push(NLM_F_ACK, message);
                }
                Err(problem) => invalid.push(Some(problem)),
            }
        }
        let mut ledger = Ledger::new(first, sent);
        let loss = if sent == 0 {
            None
        } else {
            match self.exchange.send() {
                Ok(()) => self.exchange.receive(|frame| ledger.enter(frame)),
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
        self.exchange.begin();
        let sequence = self.exchange.push(0, message);
        let reply = self.exchange.ask_ipvs(&request, sequence, Shape::Single, read)?;
        reply.entries.into_iter().next().ok_or(Error::NoReply { request })
    }

    fn dump<E>(
        &mut self,
        request: &Request,
        message: &IpvsMessage,
        read: impl Fn(&IpvsMessage) -> Result<E, DecodeError>,
    ) -> Result<Vec<E>, Error> {
        let mut failure = Error::Interrupted { request: request.clone() };
        for _ in 0..DUMP_ATTEMPTS {
            self.exchange.begin();
            let sequence = self.exchange.push(NLM_F_DUMP, message.clone());
            match self.exchange.ask_ipvs(request, sequence, Shape::Dump, &read) {
                Ok(reply) if !reply.interrupted => return Ok(reply.entries),
                Ok(_) => {}
                // A listing that was given up half-way is still under way on this socket.
                Err(busy @ Error::Kernel { errno: Errno::EBUSY, .. }) => {
                    self.exchange.drain();
                    failure = busy;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure)
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
