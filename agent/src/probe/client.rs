//! One connection of a TCP client that says nothing: SYN; FIN with the acknowledgement; the last acknowledgement. Pure.

use super::segment::{Segment, flags};
use std::time::Duration;

/// Before a SYN is sent once more: RFC 6298, 2.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long the other side has to close too. A reset then tells it to forget the connection.
const CLOSING: Duration = Duration::from_secs(3);
/// Segments with data that are acknowledged; a server that says more is cut short.
const MOST_DATA: u8 = 8;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It was accepted, after so long.
    Answered(Duration),
    /// It was refused by a reset.
    Refused,
    /// Nobody said anything.
    Silence,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// To send.
    pub send: Option<Segment>,
    /// To tell.
    pub met: Option<Met>,
    /// It is over.
    pub over: bool,
}

/// The connection.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    sequence: u32,
    begun: Duration,
    deadline: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The SYN was sent so many times.
    Opening(u8),
    /// The FIN was sent; what is expected next of the other side, and how much came.
    Closing { next: u32, data: u8, resent: bool },
}

impl Client {
    /// Begins, with a number that nobody can guess, and the first segment.
    pub fn open(sequence: u32, now: Duration) -> (Self, Segment) {
        let state = State::Opening(1);
        let client = Self { sequence, begun: now, deadline: now + AGAIN, state };
        (client, Segment { flags: flags::SYN, sequence, acknowledgement: 0 })
    }

    /// The number that it began with.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// When [`Client::tick`] is due.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// A segment came from the other side.
    pub fn hear(&mut self, segment: Segment, data: u32, now: Duration) -> Step {
        let after_syn = self.sequence.wrapping_add(1);
        let acknowledges =
            |number: u32| segment.flags & flags::ACK != 0 && segment.acknowledgement == number;
        match self.state {
            State::Opening(_) if !acknowledges(after_syn) => Step {
                // Half open from an earlier connection: it has to be forgotten first (RFC 9293, 3.10.7.3).
                send: forgotten(segment),
                ..Step::default()
            },
            State::Opening(_) if segment.flags & flags::RST != 0 => {
                Step { met: Some(Met::Refused), over: true, ..Step::default() }
            }
            State::Opening(_) if segment.flags & flags::SYN != 0 => {
                let next = segment.sequence.wrapping_add(1);
                self.state = State::Closing { next, data: 0, resent: false };
                self.deadline = now + AGAIN;
                let met = Met::Answered(now.saturating_sub(self.begun));
                Step { send: Some(self.fin(next)), met: Some(met), over: false }
            }
            State::Opening(_) => Step::default(),
            State::Closing { .. } if segment.flags & flags::RST != 0 => {
                Step { over: true, ..Step::default() }
            }
            // What it has said already came once more: our acknowledgement was lost.
            State::Closing { next, .. } if segment.flags & flags::SYN != 0 => {
                Step { send: Some(self.fin(next)), ..Step::default() }
            }
            State::Closing { next, data: heard, resent } => {
                let fin = segment.flags & flags::FIN != 0;
                if segment.sequence != next || (data == 0 && !fin) {
                    return Step::default();
                }
                if heard >= MOST_DATA {
                    return self.cut(next);
                }
                let next = next.wrapping_add(data).wrapping_add(u32::from(fin));
                self.state = State::Closing { next, data: heard + 1, resent };
                let sequence = after_syn.wrapping_add(1);
                let last = Segment { flags: flags::ACK, sequence, acknowledgement: next };
                Step { send: Some(last), met: None, over: fin }
            }
        }
    }

    /// Its deadline has come.
    pub fn tick(&mut self, now: Duration) -> Step {
        if now < self.deadline {
            return Step::default();
        }
        match self.state {
            State::Opening(1) => {
                self.state = State::Opening(2);
                self.deadline = self.begun + PATIENCE;
                let (flags, sequence) = (flags::SYN, self.sequence);
                let again = Segment { flags, sequence, acknowledgement: 0 };
                Step { send: Some(again), ..Step::default() }
            }
            State::Opening(_) => Step { met: Some(Met::Silence), over: true, ..Step::default() },
            State::Closing { next, data, resent: false } => {
                self.state = State::Closing { next, data, resent: true };
                self.deadline = now + CLOSING;
                Step { send: Some(self.fin(next)), ..Step::default() }
            }
            State::Closing { next, .. } => self.cut(next),
        }
    }

    fn fin(&self, next: u32) -> Segment {
        let sequence = self.sequence.wrapping_add(1);
        Segment { flags: flags::FIN | flags::ACK, sequence, acknowledgement: next }
    }

    fn cut(&self, next: u32) -> Step {
        let sequence = self.sequence.wrapping_add(2);
        let reset = Segment { flags: flags::RST | flags::ACK, sequence, acknowledgement: next };
        Step { send: Some(reset), met: None, over: true }
    }
}

/// The answer to an acknowledgement of what was never sent.
fn forgotten(segment: Segment) -> Option<Segment> {
    let stale = segment.flags & flags::ACK != 0 && segment.flags & flags::RST == 0;
    stale.then_some(Segment {
        flags: flags::RST,
        sequence: segment.acknowledgement,
        acknowledgement: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(100);

    fn server(flags: u8, sequence: u32, acknowledgement: u32) -> Segment {
        Segment { flags, sequence, acknowledgement }
    }

    #[test]
    fn three_segments_open_and_close_it() {
        let (mut client, syn) = Client::open(u32::MAX, T);
        assert_eq!(syn, server(flags::SYN, u32::MAX, 0));
        let answered = T + Duration::from_micros(800);
        let step = client.hear(server(flags::SYN | flags::ACK, 5000, 0), 0, answered);
        assert_eq!(step.send, Some(server(flags::FIN | flags::ACK, 0, 5001)));
        assert_eq!(step.met, Some(Met::Answered(Duration::from_micros(800))));
        let step = client.hear(server(flags::ACK, 5001, 1), 0, answered);
        assert_eq!(step, Step::default(), "a bare acknowledgement needs no answer");
        let step = client.hear(server(flags::FIN | flags::ACK, 5001, 1), 0, answered);
        assert_eq!(step.send, Some(server(flags::ACK, 1, 5002)));
        assert!(step.over && step.met.is_none());
    }

    #[test]
    fn a_server_that_greets_first_is_heard_out_and_one_that_talks_on_is_cut_short() {
        let (mut client, _) = Client::open(0, T);
        client.hear(server(flags::SYN | flags::ACK, 9, 1), 0, T);
        let step = client.hear(server(flags::ACK, 10, 1), 30, T);
        assert_eq!(step.send, Some(server(flags::ACK, 2, 40)));
        assert_eq!(client.hear(server(flags::ACK, 10, 1), 30, T), Step::default(), "once more");
        let mut last = Step::default();
        for number in 0..20 {
            last = client.hear(server(flags::ACK, 40 + 10 * number, 2), 10, T);
            if last.over {
                break;
            }
        }
        assert!(last.over && last.send.unwrap().flags & flags::RST != 0);
    }

    #[test]
    fn silence_costs_two_syns_and_two_seconds() {
        let (mut client, syn) = Client::open(7, T);
        assert_eq!(client.tick(T), Step::default());
        assert_eq!(client.tick(client.deadline()).send, Some(syn));
        let step = client.tick(client.deadline());
        assert_eq!((step.met, step.send, step.over), (Some(Met::Silence), None, true));
        assert_eq!(client.deadline(), T + PATIENCE);
    }

    #[test]
    fn a_reset_refuses_and_a_stranger_s_does_not() {
        let (mut client, _) = Client::open(7, T);
        let stray = client.hear(server(flags::RST | flags::ACK, 0, 7), 0, T);
        assert_eq!(stray, Step::default());
        let step = client.hear(server(flags::RST | flags::ACK, 0, 8), 0, T);
        assert_eq!((step.met, step.over), (Some(Met::Refused), true));
    }

    #[test]
    fn a_server_that_is_half_open_from_an_earlier_one_is_told_so() {
        let (mut client, _) = Client::open(7, T);
        let step = client.hear(server(flags::SYN | flags::ACK, 50, 3), 0, T);
        assert_eq!(step, Step { send: Some(server(flags::RST, 3, 0)), ..Step::default() });
        let step = client.hear(server(flags::SYN | flags::ACK, 60, 8), 0, T);
        assert!(matches!(step.met, Some(Met::Answered(_))));
    }

    #[test]
    fn a_server_that_does_not_close_is_told_to_forget_it() {
        let (mut client, _) = Client::open(0, T);
        client.hear(server(flags::SYN | flags::ACK, 9, 1), 0, T);
        let step = client.tick(client.deadline());
        assert_eq!(step.send.unwrap().flags, flags::FIN | flags::ACK);
        let step = client.tick(client.deadline());
        assert!(step.over && step.send.unwrap().flags & flags::RST != 0);
    }
}
