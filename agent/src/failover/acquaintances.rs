//! Who was heard on an interface: they are asked for when it has come up again, so that somebody says something. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// How many are remembered of one interface: one answer is enough.
const MOST: usize = 8;

/// By interface.
#[derive(Debug, Default)]
pub(super) struct Acquaintances(BTreeMap<u32, VecDeque<IpAddr>>);

impl Acquaintances {
    /// Somebody uses this address there.
    pub(super) fn note(&mut self, interface: u32, address: IpAddr) {
        let known = self.0.entry(interface).or_default();
        if !known.contains(&address) {
            known.truncate(MOST - 1);
            known.push_front(address);
        }
    }

    /// Whoever was met there last.
    pub(super) fn of(&self, interface: u32) -> impl Iterator<Item = IpAddr> {
        self.0.get(&interface).into_iter().flatten().copied()
    }

    /// Nothing is heard on the others any more.
    pub(super) fn keep(&mut self, interfaces: &BTreeSet<u32>) {
        self.0.retain(|interface, _| interfaces.contains(interface));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_remembered_once_each() {
        let mut acquaintances = Acquaintances::default();
        for number in [1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 1] {
            acquaintances.note(3, IpAddr::from([10, 0, 0, number]));
        }
        let known: Vec<_> = acquaintances.of(3).map(|it| it.to_string()).collect();
        assert_eq!(known.len(), MOST);
        assert_eq!(
            (known.first().map(String::as_str), known.contains(&"10.0.0.2".to_owned())),
            (Some("10.0.0.1"), false)
        );
        acquaintances.keep(&BTreeSet::from([4]));
        assert_eq!(acquaintances.of(3).count(), 0);
    }
}
