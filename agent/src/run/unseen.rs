//! Sorts of fixtures that the kernel does not list now: nothing is made or removed on the ground of not knowing.

use super::engine::Engine;
use super::wording::subject;
use crate::kernel::Kernel;
use crate::plan::Touched;
use crate::state::{Made, Op};
use std::borrow::Cow;
use std::collections::BTreeMap;

impl<K: Kernel> Engine<K> {
    /// Of what is touched that of which it is known what stands. The rest is told of, where it is wanted or ours.
    pub(super) fn seen<'a>(
        &self,
        touched: &'a Touched,
        faults: &mut BTreeMap<Made, (String, String)>,
    ) -> Cow<'a, Touched> {
        let unseen = &self.mirror.unseen;
        if unseen.is_empty() {
            return Cow::Borrowed(touched);
        }
        let mut seen = touched.clone();
        seen.fixtures.retain(|fixture| !unseen.contains_key(&fixture.kind()));
        let wanted = &self.fragments.union().fixtures;
        for fixture in &touched.fixtures {
            let made = Made::Fixture(*fixture);
            if let Some(why) = unseen.get(&fixture.kind())
                && (wanted.contains(fixture) || self.journal.ours().contains(&made))
            {
                let text = format!("{fixture}: not known whether it stands: {}", why.message);
                faults.insert(made, (why.reason.to_owned(), text));
            }
        }
        Cow::Owned(seen)
    }

    /// What was changed and cannot be listed now.
    pub(super) fn not_read_back(&self, ops: &[Op], faults: &mut BTreeMap<Made, (String, String)>) {
        for made in ops.iter().filter_map(subject) {
            if let Made::Fixture(fixture) = &made
                && let Some(why) = self.mirror.unseen.get(&fixture.kind())
            {
                let text = format!("not read back: {}", why.message);
                faults.entry(made).or_insert(("ReadBackFailed".to_owned(), text));
            }
        }
    }
}
