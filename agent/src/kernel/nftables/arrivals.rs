//! What has arrived for our services, by the counters of the elements in our sets.

use super::message::{Kind, Message, View};
use super::ruleset::{Key, Part, message};
use super::{FixtureError, Nftables, element, is_absent, is_missing, socket_failed};
use crate::state::{Fixture, Packets};
use std::collections::BTreeMap;

impl Nftables {
    /// What has arrived, by what it was for: of TCP the packets that begin a connection (SYN without ACK, repeated ones too),
    /// of SCTP the same (INIT), of others each packet. One listing a set, six at most.
    ///
    /// A counter begins at 0 when its fixture is made, and again when the table is made anew, so it may have become less.
    /// Packets are counted before any filter. What a fellow director sends to this node as a real server is counted too: the
    /// count says something about a service on the director that carries its address.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn arrivals(&mut self) -> Result<BTreeMap<Packets, u64>, FixtureError> {
        let mut arrived = BTreeMap::new();
        for (key, set) in Part::Arrivals.sets() {
            let request = message(Kind::GetElement, element::of_set(set));
            let mut pick = |it: Message| Some(counted(it.attributes.view(), key));
            match self.ask(|socket| socket.gather(&request, &mut pick)) {
                // Ours comes with its first fixture, and a kernel may have no nftables.
                Err(error) if is_missing(&error) || is_absent(&error) => return Ok(arrived),
                Err(error) => return Err(socket_failed("read what arrived", error)),
                Ok(found) => arrived.extend(found.into_iter().flatten()),
            }
        }
        Ok(arrived)
    }
}

/// The elements of one message of a listing, each with its counter.
pub(super) fn counted(message: View<'_>, key: Key) -> Vec<(Packets, u64)> {
    let elements = message.nest(3).into_iter().flatten();
    let counted = |(_, element): (u16, &[u8])| {
        let element = View(element);
        // NFTA_SET_ELEM_EXPR: NFTA_EXPR_DATA: NFTA_COUNTER_PACKETS
        let packets = element.nest(7)?.nest(2)?.long(2)?;
        match element::fixture(Part::Arrivals, key, element)? {
            Fixture::Arrivals { packets: of } => Some((of, packets)),
            _ => None,
        }
    };
    elements.filter_map(counted).collect()
}
