//! IPVS over generic netlink: codec and client.
//!
//! The whole family `IPVS` (services, destinations, sync daemons, timeouts, counters, general
//! information) except flush, which no caller can even encode: it would delete what others made.
//!
//! # What is here
//! - [`model`] (re-exported): [`ServiceKey`], [`Service`], [`DestinationKey`], [`Destination`],
//!   [`Daemon`], [`Timeouts`], and what the kernel reports: [`ServiceEntry`], [`DestinationEntry`] with
//!   [`Stats`], [`Info`].
//! - [`Client`]: blocking calls on one socket. [`Client::apply`] sends many [`Operation`]s at once and
//!   gives each its own result; [`Client::services`], [`Client::service`], [`Client::destinations`],
//!   [`Client::daemons`], [`Client::timeouts`], [`Client::info`] read. [`Client::requests`] counts.
//! - [`Error`]: which request failed and why; [`Error::reason`] is one word for machines.
//! - [`Transport`]: the seam for tests.
//! - [`codec`]: the bytes.
//!
//! # What it must not know
//! Kubernetes, tokio, or who owns a service. It takes no decisions: an [`Operation`] is sent as it
//! stands. A client belongs to the network namespace in which it was opened, and is for one thread.
//!
//! # Traps of the kernel that callers must know
//! - [`Client::destinations`] of a service that does not exist is an empty list, not an error.
//! - A destination deleted and added again while connections refer to it comes back with its counters.
//! - Others may change the table during a listing: entries may then be missing or appear twice.
//!
//! # Example
//! ```no_run
//! use std::net::Ipv4Addr;
//! use lvs_ipvs::{
//!     Client, Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey,
//! };
//!
//! # fn main() -> Result<(), lvs_ipvs::Error> {
//! let mut client = Client::open()?;
//! let web = ServiceKey::tcp(Ipv4Addr::new(192, 168, 0, 10), 80);
//! let server = DestinationKey::new(Ipv4Addr::new(10, 0, 0, 1), 80);
//! let results = client.apply(&[
//!     Operation::NewService(Service::new(web, "wlc").persistent(300)),
//!     Operation::NewDestination {
//!         service: web,
//!         destination: Destination::new(server, Forwarding::DirectRoute, 1),
//!     },
//! ]);
//! for error in results.into_iter().filter_map(Result::err) {
//!     eprintln!("{}: {error}", error.reason());
//! }
//! for entry in client.services()? {
//!     println!("{} {}", entry.service.key, entry.service.scheduler);
//! }
//! # Ok(())
//! # }
//! ```

mod batch;
mod client;
pub mod codec;
mod constants;
mod errno;
mod error;
mod exchange;
pub mod model;
mod request;
mod transport;
mod wire;

pub use client::Client;
pub use codec::Command;
pub use errno::Errno;
pub use error::{Error, InvalidField};
pub use model::*;
pub use request::{Operation, Request};
pub use transport::{NetlinkTransport, Transport};
