//! Who says to carry which virtual router, and when that was said, by the clock of whoever listens: a director's own clock
//! may be anything.

use lvs_crds::{DirectorRole, LVSNodeStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an address stays on a director that does not renew it.
pub const LIFETIME: Duration = Duration::from_secs(3);
/// For so long two directors may have one address while it moves; who says after that to carry it does.
const OVERLAP: Duration = Duration::from_secs(4);
/// An agent that lives reports every 30 seconds.
const REPORTED_WITHIN: Duration = Duration::from_secs(35);

/// DirectorGroup and id of a virtual router.
pub(crate) type Router = (String, i32);

/// What directors have said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Testimony {
    /// When each node's report last came.
    heard: BTreeMap<String, Duration>,
    claims: BTreeMap<Router, BTreeMap<String, Claim>>,
    claims_of: BTreeMap<String, BTreeSet<Router>>,
}

/// That a node carries a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    /// Since when it has said so without a break.
    since: Duration,
    /// It was in the first report that was heard of the node: how long it has been true is not known.
    found: bool,
}

/// A claim as it is to be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing {
    pub(crate) since: Duration,
    pub(crate) heard: Duration,
    pub(crate) found: bool,
}

impl Testimony {
    /// Takes a node's report in.
    pub(crate) fn hear(&mut self, node: &str, report: &LVSNodeStatus, now: Duration) {
        let found = self.heard.insert(node.to_owned(), now).is_none();
        let active = report.virtual_routers.iter().filter(|it| it.role == DirectorRole::Active);
        let claimed: BTreeSet<Router> = active.map(|it| (it.group.clone(), it.id)).collect();
        let before = self.claims_of.insert(node.to_owned(), claimed.clone()).unwrap_or_default();
        for router in before.difference(&claimed) {
            self.withdraw(router, node);
        }
        for router in claimed.difference(&before) {
            let claims = self.claims.entry(router.clone()).or_default();
            claims.insert(node.to_owned(), Claim { since: now, found });
        }
    }

    /// A node's report is gone.
    pub(crate) fn forget(&mut self, node: &str) {
        self.heard.remove(node);
        for router in self.claims_of.remove(node).unwrap_or_default() {
            self.withdraw(&router, node);
        }
    }

    fn withdraw(&mut self, router: &Router, node: &str) {
        if let Some(claims) = self.claims.get_mut(router) {
            claims.remove(node);
            if claims.is_empty() {
                self.claims.remove(router);
            }
        }
    }

    /// How a node's claim stands. Of nobody's hearing, all are equal.
    pub(crate) fn standing(&self, router: &Router, node: &str) -> Standing {
        let claim = self.claims.get(router).and_then(|claims| claims.get(node));
        let Some(Claim { since, found }) = claim.copied() else { return Standing::default() };
        let heard = self.heard.get(node).copied().unwrap_or_default();
        Standing { since, heard, found }
    }

    /// The virtual routers that a node says it carries, and another one too.
    pub(crate) fn contested(&self, node: &str) -> impl Iterator<Item = &Router> {
        let claimed = self.claims_of.get(node).into_iter().flatten();
        claimed.filter(|router| self.claims.get(*router).is_some_and(|claims| claims.len() > 1))
    }
}

impl Standing {
    /// Whether it was said again so long after `other` began to say the same that no move explains it.
    pub(crate) fn outlives(&self, other: &Self) -> bool {
        self.heard >= other.since + OVERLAP
    }

    /// Whether `other` should have been heard again before this was.
    pub(crate) fn leaves_overdue(&self, other: &Self) -> bool {
        self.heard > other.heard + REPORTED_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_crds::CarriedRouter;

    fn report(ids: &[i32]) -> LVSNodeStatus {
        let of = |id: &i32| CarriedRouter {
            group: "g".to_owned(),
            id: *id,
            role: DirectorRole::Active,
            problem: None,
        };
        LVSNodeStatus { virtual_routers: ids.iter().map(of).collect(), ..LVSNodeStatus::default() }
    }

    fn router(id: i32) -> Router {
        ("g".to_owned(), id)
    }

    #[test]
    fn a_claim_dates_from_when_it_was_first_made_and_ends_when_it_is_not_repeated() {
        let at = Duration::from_secs;
        let mut said = Testimony::default();
        said.hear("a", &report(&[1]), at(10));
        said.hear("a", &report(&[1, 2]), at(20));
        let of = |said: &Testimony, id| {
            let it = said.standing(&router(id), "a");
            (it.since.as_secs(), it.heard.as_secs(), it.found)
        };
        assert_eq!((of(&said, 1), of(&said, 2)), ((10, 20, true), (20, 20, false)));
        said.hear("a", &report(&[2]), at(30));
        assert_eq!((of(&said, 1), of(&said, 2)), ((0, 0, false), (20, 30, false)));
        said.hear("a", &report(&[1, 2]), at(40));
        assert_eq!(of(&said, 1), (40, 40, false));
        said.hear("b", &report(&[2, 3]), at(50));
        assert_eq!(said.contested("a").collect::<Vec<_>>(), [&router(2)]);
        said.forget("b");
        assert_eq!(said.contested("a").count(), 0);
        said.forget("a");
        assert!(said.claims.is_empty() && said.claims_of.is_empty() && said.heard.is_empty());
    }
}
