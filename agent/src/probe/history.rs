//! What is made of one service's answers and silences: one that failed once has not failed.

use std::net::IpAddr;

/// Failures in a row that count.
const CONFIRMED: u32 = 2;
/// Failures among the last 16 that count, while others are answered: of eight real servers one that is down.
const SOME: u32 = 2;
/// How many are remembered.
const MEMORY: u32 = u16::BITS;

/// What was met instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing came back.
    Silence,
    /// Nobody has the VIP.
    NoNeighbor,
    /// A reset.
    Refused,
    /// An ICMP error, from whom, with type and code.
    Rejected {
        /// Who sent it.
        by: IpAddr,
        /// ICMP's type and code.
        kind: (u8, u8),
    },
    /// Some are answered and so many of so many are not.
    Partly {
        /// Failed.
        failed: u32,
        /// Of how many.
        of: u32,
    },
}

/// One service's last 16 connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    /// The newest is the lowest bit; 1 is a failure.
    recent: u16,
    known: u32,
    trouble: Option<Trouble>,
}

impl History {
    /// What is wrong, once that is sure.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// Whether the last one failed, and nothing has been told of it yet.
    pub fn is_suspect(&self) -> bool {
        self.recent & 1 == 1 && self.trouble.is_none()
    }

    /// Takes one in; whether what is known has changed by it. `shared`: it failed with all else that goes the same way, so
    /// that one answer is enough.
    pub fn note(&mut self, met: Result<(), Trouble>, shared: bool) -> bool {
        let (before, was_known) = (self.trouble, self.known > 0);
        self.recent = (self.recent << 1) | u16::from(met.is_err());
        self.known = (self.known + 1).min(MEMORY);
        let failed = self.recent.count_ones();
        let in_a_row = self.recent.trailing_ones();
        self.trouble = match (met, before) {
            (Err(trouble), _) if in_a_row >= failed && in_a_row >= CONFIRMED => Some(trouble),
            // The same number all the time: each other text would be a report.
            (_, Some(Trouble::Partly { .. })) if failed > 0 && in_a_row < self.known => before,
            (Err(trouble), _) if in_a_row >= self.known && in_a_row >= CONFIRMED => Some(trouble),
            (Ok(()), Some(_)) if shared || self.recent.trailing_zeros() >= CONFIRMED => {
                // All failed before: it is repaired, and what was is no word about now.
                (self.recent, self.known) = (0, CONFIRMED);
                None
            }
            (Ok(()), Some(_)) => before,
            (_, None) if failed >= SOME && in_a_row < failed => {
                Some(Trouble::Partly { failed, of: self.known })
            }
            (Err(_), _) if failed < CONFIRMED => before,
            (Err(trouble), Some(_)) => Some(trouble),
            _ => before,
        };
        self.trouble != before || !was_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after each of these: `+` an answer, `-` silence.
    fn after(story: &str) -> Option<Trouble> {
        let mut history = History::default();
        for met in story.chars() {
            history.note(if met == '+' { Ok(()) } else { Err(Trouble::Silence) }, false);
        }
        history.trouble()
    }

    #[test]
    fn one_failure_is_none_and_two_in_a_row_are() {
        assert_eq!(after(""), None);
        assert_eq!(after("-"), None);
        assert_eq!(after("+-+"), None);
        assert_eq!(after("--"), Some(Trouble::Silence));
        assert_eq!(after("+++++++++--"), Some(Trouble::Silence));
    }

    #[test]
    fn what_was_down_is_well_after_two_answers() {
        assert_eq!(after("+++-----+"), Some(Trouble::Silence));
        assert_eq!(after("+++-----++"), None);
        assert_eq!(after("+++-----++-+"), None);
    }

    #[test]
    fn one_real_server_of_several_that_is_down_is_found_and_not_forgotten() {
        for period in 2..=8 {
            let turn = "+".repeat(period - 1) + "-";
            let mut history = History::default();
            let mut changes = 0;
            for met in turn.repeat(20).chars() {
                let met = if met == '+' { Ok(()) } else { Err(Trouble::Silence) };
                changes += u32::from(history.note(met, false));
            }
            let found = matches!(history.trouble(), Some(Trouble::Partly { .. }));
            assert!(found, "{period}: {:?}", history.trouble());
            assert_eq!(changes, 2, "{period}: the first answer and the finding");
        }
        let repaired = "+-".repeat(10) + &"+".repeat(16);
        assert_eq!(after(&repaired), None);
    }

    #[test]
    fn from_some_to_none_and_back() {
        let story = "+-".repeat(10) + &"-".repeat(16);
        assert_eq!(after(&story), Some(Trouble::Silence));
        assert_eq!(after(&(story + "++")), None);
    }
}
