//! One watch a kind, turned into changes; objects that vanished while the watch was down are noticed when it is back.
//! One that cannot be read, as one of a newer version may be, stops no other: what was known of it stays.

use crate::backoff::Backoff;
use crate::metrics::Metrics;
use futures::{Stream, StreamExt};
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher::{Config, Error, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use lvs_resolve::Key;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Seconds after which the API server ends a watch, and a dead one is noticed.
const TIMEOUT: u32 = 50;

/// What happened to an object of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta<K> {
    /// It is so.
    Seen {
        /// The object.
        object: Box<K>,
        /// It comes from a list, which may be older than what we know, or, after the API server's data were put
        /// back, of another history.
        listed: bool,
    },
    /// It is gone.
    Gone {
        /// Its name.
        key: Key,
        /// Its uid; none if a list did not have it any more.
        uid: Option<String>,
    },
    /// Everything there is has been seen.
    Synced,
}

/// Tells changes from events; knows which objects there are.
#[derive(Debug, Default)]
pub struct Relist {
    known: BTreeSet<Key>,
    listed: Option<BTreeSet<Key>>,
}

impl Relist {
    /// The changes that an event means.
    pub fn changes<K: Resource>(&mut self, event: Event<DeserializeGuard<K>>) -> Vec<Delta<K>> {
        let seen = |object: DeserializeGuard<K>, listed| match object.0 {
            Ok(object) => vec![Delta::Seen { object: Box::new(object), listed }],
            Err(_) => Vec::new(),
        };
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key(object.meta());
                self.listed.get_or_insert_default().insert(key.clone());
                self.known.insert(key);
                seen(object, true)
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone: Vec<Key> = self.known.difference(&listed).cloned().collect();
                self.known = listed;
                let gone = gone.into_iter().map(|key| Delta::Gone { key, uid: None });
                gone.chain([Delta::Synced]).collect()
            }
            Event::Apply(object) => {
                self.known.insert(key(object.meta()));
                seen(object, false)
            }
            Event::Delete(object) => {
                let key = key(object.meta());
                self.known.remove(&key);
                let uid = object.meta().uid.clone();
                vec![Delta::Gone { key, uid }]
            }
        }
    }
}

fn key(meta: &ObjectMeta) -> Key {
    Key::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Watches a kind for ever and sends its changes, as `wrap` makes them of deltas. Ends when nobody listens any more. With each
/// change of `history` it lists anew: the API server has gone back to an earlier state, and would show nothing to a watch
/// that goes on from a version that is yet to come (`getAllEventsSince` in apiserver's storage/cacher/watch_cache.go).
pub async fn watch<K, C>(
    api: Api<DeserializeGuard<K>>,
    kind: &'static str,
    changes: mpsc::Sender<C>,
    metrics: Metrics,
    mut history: tokio::sync::watch::Receiver<()>,
    wrap: fn(Delta<K>) -> C,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut relist = Relist::default();
    loop {
        let config = Config::default().timeout(TIMEOUT);
        let events = watcher(api.clone(), config).backoff(Backoff::default());
        let events = events.modify(|object| object.managed_fields_mut().clear());
        tokio::select! {
            () = follow(events, &mut relist, kind, &changes, &metrics, wrap) => return,
            Ok(()) = history.changed() => {}
        }
    }
}

async fn follow<K: Resource, C>(
    events: impl Stream<Item = Result<Event<DeserializeGuard<K>>, Error>>,
    relist: &mut Relist,
    kind: &'static str,
    changes: &mpsc::Sender<C>,
    metrics: &Metrics,
    wrap: fn(Delta<K>) -> C,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if let Event::InitApply(object) | Event::Apply(object) = &event
                    && let Err(invalid) = &object.0
                {
                    let object = key(object.meta());
                    warn!(kind, %object, "not understood, what was known of it stays: {invalid}");
                }
                for delta in relist.changes(event) {
                    if matches!(delta, Delta::Synced) {
                        debug!(kind, objects = relist.known.len(), "listed");
                    }
                    if changes.send(wrap(delta)).await.is_err() {
                        return;
                    }
                }
                metrics.objects(kind, relist.known.len());
            }
            Err(error) => {
                metrics.watch_failed(kind);
                warn!(kind, %error, "the watch broke; it is resumed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lvs_crds::{LVSNode, LVSNodeSpec};

    fn node(name: &str) -> DeserializeGuard<LVSNode> {
        DeserializeGuard(Ok(LVSNode::new(name, LVSNodeSpec {})))
    }

    fn gone(deltas: Vec<Delta<LVSNode>>) -> Vec<String> {
        let gone = |delta| match delta {
            Delta::Gone { key, .. } => Some(key.name),
            _ => None,
        };
        deltas.into_iter().filter_map(gone).collect()
    }

    #[test]
    fn what_vanished_while_the_watch_was_down_is_gone_after_the_list() {
        let mut relist = Relist::default();
        for event in [
            Event::Init,
            Event::InitApply(node("a")),
            Event::InitApply(node("b")),
            Event::InitDone,
            Event::Apply(node("c")),
            Event::Init,
            Event::InitApply(node("b")),
        ] {
            assert!(gone(relist.changes(event)).is_empty());
        }
        assert_eq!(gone(relist.changes(Event::InitDone)), ["a", "c"]);
        assert!(gone(relist.changes(Event::Delete(node("b")))) == ["b"]);
        relist.changes(Event::<DeserializeGuard<LVSNode>>::Init);
        assert!(gone(relist.changes(Event::InitDone)).is_empty());
    }

    #[test]
    fn a_list_that_breaks_off_makes_nothing_vanish() {
        let mut relist = Relist::default();
        for event in [Event::Init, Event::InitApply(node("a")), Event::InitApply(node("b"))] {
            relist.changes(event);
        }
        relist.changes(Event::<DeserializeGuard<LVSNode>>::InitDone);
        relist.changes(Event::<DeserializeGuard<LVSNode>>::Init);
        relist.changes(Event::InitApply(node("b")));
        relist.changes(Event::<DeserializeGuard<LVSNode>>::Init);
        relist.changes(Event::InitApply(node("a")));
        assert_eq!(gone(relist.changes(Event::InitDone)), ["b"]);
    }

    #[test]
    fn what_cannot_be_read_is_neither_seen_nor_gone() {
        let bad = || {
            let text = r#"{"metadata": {"name": "a"}, "spec": {}, "status": {"directorOf": 1}}"#;
            serde_json::from_str::<DeserializeGuard<LVSNode>>(text).unwrap()
        };
        assert!(bad().0.is_err());
        let mut relist = Relist::default();
        for event in [Event::Init, Event::InitApply(node("a")), Event::InitDone] {
            relist.changes(event);
        }
        assert_eq!(relist.changes(Event::Apply(bad())), []);
        relist.changes(Event::<DeserializeGuard<LVSNode>>::Init);
        assert_eq!(relist.changes(Event::InitApply(bad())), []);
        assert_eq!(relist.changes(Event::<DeserializeGuard<LVSNode>>::InitDone), [Delta::Synced]);
        assert_eq!(gone(relist.changes(Event::Delete(bad()))), ["a"]);
    }
}
