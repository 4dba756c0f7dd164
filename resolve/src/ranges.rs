//! Look-ups by overlap of number ranges: who has anything between 20000 and 20999?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// Values at ranges, several grounds side by side. A range takes one entry however wide it is.
///
/// The ranges of a ground lie in classes by their width, each between a power of two and the next. Within a class no
/// range begins further before a number that it contains than the class is wide, so a look-up reads one stretch of
/// each class, of which at least about half overlaps.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<G, V>(HashMap<G, BTreeMap<u32, Class<V>>>);

/// First and last number of a range, and what stands there.
type Class<V> = BTreeMap<(i32, i32), BTreeSet<V>>;

impl<G, V> Default for Ranges<G, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<G: Hash + Eq, V: Ord> Ranges<G, V> {
    pub(crate) fn add(&mut self, ground: G, range: (i32, i32), value: V) {
        let class = self.0.entry(ground).or_default().entry(class(range)).or_default();
        class.entry(range).or_default().insert(value);
    }

    /// Takes a value out. What has become empty takes no room.
    pub(crate) fn remove(&mut self, ground: &G, range: (i32, i32), value: &V) {
        let Some(classes) = self.0.get_mut(ground) else { return };
        if let Some(class_of) = classes.get_mut(&class(range)) {
            if let Some(values) = class_of.get_mut(&range) {
                values.remove(value);
                if values.is_empty() {
                    class_of.remove(&range);
                }
            }
            if class_of.is_empty() {
                classes.remove(&class(range));
            }
        }
        if classes.is_empty() {
            self.0.remove(ground);
        }
    }

    /// What stands at ranges that have a number in common with this one.
    pub(crate) fn overlapping(
        &self,
        ground: &G,
        (first, last): (i32, i32),
    ) -> impl Iterator<Item = ((i32, i32), &V)> {
        self.0.get(ground).into_iter().flatten().flat_map(move |(class, ranges)| {
            let widest = 1i64 << class;
            let from = i64::from(first) - widest + 1;
            let from = i32::try_from(from).unwrap_or(i32::MIN);
            ranges
                .range((from, i32::MIN)..=(last.max(from), i32::MAX))
                .filter(move |((_, end), _)| *end >= first)
                .flat_map(|(range, values)| values.iter().map(|value| (*range, value)))
        })
    }
}

/// The least power of two that is not smaller than the width.
fn class((first, last): (i32, i32)) -> u32 {
    let width = (i64::from(last) - i64::from(first) + 1).max(1).unsigned_abs();
    width.next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Vec<(i32, i32)>> {
        let range = (0..70i32, prop_oneof![Just(0), 0..5i32, 0..70i32]);
        prop::collection::vec(range.prop_map(|(first, more)| (first, first + more)), 0..40)
    }

    proptest! {
        #[test]
        fn a_look_up_finds_what_overlaps_and_nothing_else(all in ranges(), gone in 0..40usize, asked in ranges()) {
            let mut index: Ranges<(), usize> = Ranges::default();
            for (number, range) in all.iter().enumerate() {
                index.add((), *range, number);
            }
            for (number, range) in all.iter().enumerate().take(gone) {
                index.remove(&(), *range, &number);
            }
            for (first, last) in asked {
                let mut found: Vec<usize> =
                    index.overlapping(&(), (first, last)).map(|(_, number)| *number).collect();
                found.sort_unstable();
                let expected: Vec<usize> = (gone..all.len())
                    .filter(|number| all[*number].0 <= last && first <= all[*number].1)
                    .collect();
                prop_assert_eq!(found, expected);
            }
            for (number, range) in all.iter().enumerate().skip(gone) {
                index.remove(&(), *range, &number);
            }
            prop_assert!(index.0.is_empty());
        }
    }

    #[test]
    fn a_point_in_a_ground_of_many_points_reads_no_others() {
        let mut index: Ranges<(), i32> = Ranges::default();
        (0..65_536).for_each(|port| index.add((), (port, port), port));
        assert_eq!(index.0[&()].len(), 1, "points are one class");
        let found: Vec<_> = index.overlapping(&(), (80, 80)).collect();
        assert_eq!(found, [((80, 80), &80)]);
    }
}
