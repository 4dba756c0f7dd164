//! Which requests of one datagram have been answered. Pure; the client does the input and output.

use std::io;

use netlink_packet_core::DecodeError;

use crate::wire::{Frame, Meaning};
use crate::{Errno, Error, Request};

/// Requests in one datagram. The kernel queues an answer to each before `send` returns; 128 of them,
/// at no more than 1280 bytes of socket buffer each, fit the default receive buffer of 208 KiB.
pub(crate) const MAX_REQUESTS: usize = 128;

/// Bytes in one datagram, well below the default send buffer of 208 KiB.
pub(crate) const MAX_BYTES: usize = 32 * 1024;

/// The answer to one request.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Refused(Errno, Option<String>),
    Malformed(DecodeError),
}

/// Why answers are missing.
#[derive(Debug)]
pub(crate) enum Loss {
    /// None came in time.
    Timeout,
    /// The receive buffer was full.
    Overrun,
    /// The socket failed.
    Io(io::Error),
    /// A datagram made no sense.
    Malformed(DecodeError),
}

impl Loss {
    /// The error for one of the requests that it hit.
    pub(crate) fn error(&self, request: Request) -> Error {
        match self {
            Self::Timeout => Error::NoReply { request },
            Self::Overrun => Error::Overrun { request },
            Self::Io(error) => Error::Io { request, source: again(error) },
            Self::Malformed(error) => {
                Error::Decode { request, source: DecodeError::from(error.to_string()) }
            }
        }
    }
}

/// One I/O error for many requests.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The answers to one datagram's requests, by sequence number.
#[derive(Debug)]
pub(crate) struct Ledger {
    first: u32,
    answers: Vec<Option<Answer>>,
    open: usize,
}

impl Ledger {
    /// For `requests` requests numbered from `first`, wrapping.
    pub(crate) fn new(first: u32, requests: usize) -> Self {
        Self { first, answers: (0..requests).map(|_| None).collect(), open: requests }
    }

    /// Enters an answer, and says whether it was the last. What belongs to an earlier exchange, and a second
    /// answer to the same request, are ignored.
    pub(crate) fn enter(&mut self, frame: &Frame<'_>) -> bool {
        let index = frame.sequence.wrapping_sub(self.first) as usize;
        let Some(slot @ None) = self.answers.get_mut(index) else { return false };
        *slot = Some(match frame.meaning() {
            Ok(Meaning::Ack) => Answer::Done,
            Ok(Meaning::Refused(errno, message)) => Answer::Refused(errno, message),
            Err(error) => Answer::Malformed(error),
            Ok(Meaning::Content(_) | Meaning::End | Meaning::Noop) => return false,
        });
        self.open -= 1;
        self.open == 0
    }

    /// The answers in the order of the requests.
    pub(crate) fn into_answers(self) -> Vec<Option<Answer>> {
        self.answers
    }
}

#[cfg(test)]
mod tests;
