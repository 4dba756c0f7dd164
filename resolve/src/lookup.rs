//! Reverse look-ups.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Several values a key; a key without values takes no room.
#[derive(Clone, Debug)]
pub(crate) struct Lookup<K, V>(HashMap<K, BTreeSet<V>>);

impl<K, V> Default for Lookup<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V: Ord> Lookup<K, V> {
    pub(crate) fn add(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    pub(crate) fn remove(&mut self, key: &K, value: &V) {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(crate) fn get<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a V> + use<'a, K, V> {
        self.0.get(key).into_iter().flatten()
    }

    /// The least and the greatest value.
    pub(crate) fn ends(&self, key: &K) -> Vec<&V> {
        self.0
            .get(key)
            .map(|values| values.first().into_iter().chain(values.last()).collect())
            .unwrap_or_default()
    }

    pub(crate) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }
}
