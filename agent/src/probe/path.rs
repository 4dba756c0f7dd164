//! What services have in common: a director, a VIP. Where many in a row were met with silence and none with an answer it
//! is that which is broken, and nobody has to ask all the others to know.

use lvs_resolve::Question;
use lvs_vrrp::Mac;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// So many different services.
const ENOUGH: usize = 10;
/// At so many VIPs, where it is to be the director that they share.
const VIPS: usize = 3;

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Path {
    Director(Mac),
    Vip(IpAddr),
}

/// The services that were met with silence since the last answer, by what they share.
#[derive(Debug, Default)]
pub(super) struct Paths(BTreeMap<Path, Silent>);

#[derive(Debug, Default)]
struct Silent {
    questions: BTreeSet<Question>,
    vips: BTreeSet<IpAddr>,
}

impl Silent {
    fn is_down(&self, path: &Path) -> bool {
        let vips = matches!(path, Path::Vip(_)) || self.vips.len() >= VIPS;
        self.questions.len() >= ENOUGH && vips
    }
}

impl Paths {
    /// Takes in an answer or a silence; whether something is thought of a path that was not before.
    pub(super) fn note(&mut self, question: Question, mac: Mac, answered: bool) -> bool {
        let mut changed = false;
        for path in [Path::Director(mac), Path::Vip(question.address)] {
            if answered {
                changed |= self.0.remove(&path).is_some_and(|silent| silent.is_down(&path));
            } else {
                let silent = self.0.entry(path).or_default();
                let before = silent.is_down(&path);
                silent.questions.insert(question);
                silent.vips.insert(question.address);
                changed |= silent.is_down(&path) != before;
            }
        }
        changed
    }

    /// Whether nothing gets through.
    pub(super) fn is_down(&self, vip: IpAddr, mac: Option<Mac>) -> bool {
        let down = |path| self.0.get(&path).is_some_and(|silent| silent.is_down(&path));
        down(Path::Vip(vip)) || mac.is_some_and(|mac| down(Path::Director(mac)))
    }

    /// Nothing is thought of a VIP any more.
    pub(super) fn forget(&mut self, vip: IpAddr) {
        self.0.remove(&Path::Vip(vip));
    }
}
