//! Slices and DirectorGroups from the API server: one watch a kind.
//!
//! What vanished while a watch was down is told by no event: each listing is compared with what was known before it,
//! including what an earlier run knew. An object that cannot be read stops no other: what was known of it stays, and
//! the engine reports it.

#[cfg(test)]
mod tests;

use super::saved::Saved;
use super::{GROUP, SLICE, Unreadable, Update, name, version};
use crate::message::Feed;
use crate::report::History;
use crate::retry::{Retry, causes};
use ::kube::core::error_boundary::InvalidObject;
use ::kube::core::{DeserializeGuard, ObjectMeta};
use ::kube::runtime::WatchStreamExt;
use ::kube::runtime::watcher::{self, Event, watcher};
use ::kube::{Api, Client, Resource};
use futures::StreamExt;
use lvs_crds::{DirectorGroup, VirtualService, VirtualServiceSlice};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest that a watch lasts. The client notices a silently dead one five seconds after this; its default would
/// be five minutes.
const WATCH_SECONDS: u32 = 45;

/// Watches both kinds until the engine is gone. `known`: what the engine knows from an earlier run.
pub fn watch_all(
    client: &Client,
    saved: Saved,
    known: &Update,
    feed: &Feed,
    history: &History,
    tasks: &mut JoinSet<()>,
) {
    let slices = Listing::new(
        SLICE,
        known.slices.iter().filter_map(|(name, slice)| Some((name.clone(), slice.as_ref()?))),
        |slices, synced| Update {
            version: slices
                .iter()
                .filter_map(|(_, s)| Some(version(&s.as_ref()?.metadata)))
                .max()
                .unwrap_or(0),
            slices,
            slices_synced: synced,
            ..Update::default()
        },
        name,
    );
    let groups = Listing::new(
        GROUP,
        known.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.as_ref()?))),
        |groups, synced| Update { groups, groups_synced: synced, ..Update::default() },
        |metadata| metadata.name.clone().unwrap_or_default(),
    );
    let api: Api<DeserializeGuard<VirtualServiceSlice>> = Api::all(client.clone());
    let sink = Sink { saved, feed: feed.clone() };
    tasks.spawn(follow(api, slices, sink.clone(), history.changes(), "VirtualServiceSlices"));
    let api: Api<DeserializeGuard<DirectorGroup>> = Api::all(client.clone());
    tasks.spawn(follow(api, groups, sink, history.changes(), "DirectorGroups"));
}

/// Where news go.
#[derive(Clone)]
struct Sink {
    saved: Saved,
    feed: Feed,
}

async fn follow<K, N>(
    api: Api<DeserializeGuard<K>>,
    mut listing: Listing<K, N>,
    sink: Sink,
    mut history: watch::Receiver<()>,
    object: &'static str,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    N: Clone + Eq + Hash,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let begin = || Box::pin(watcher(api.clone(), config.clone()).backoff(Retry::default()));
    let mut stream = begin();
    let mut away = false;
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            Ok(()) = history.changed() => {
                listing.distrust();
                stream = begin();
                continue;
            }
        };
        let Some(event) = event else { return };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(
                    object,
                    "not watched, tried again; what is known stays: {}",
                    causes(&error)
                );
                away = true;
                continue;
            }
        };
        if std::mem::take(&mut away) {
            tracing::info!(object, "watched again");
        }
        let Some(update) = listing.take(event) else { continue };
        for Unreadable { name: (namespace, name), error, .. } in &update.unreadable {
            let named = format!("{namespace}/{name}");
            tracing::warn!(
                object = named.trim_start_matches('/'),
                "{} not understood, what was known of it stays: {error}",
                listing.kind
            );
        }
        // The kernel first: the copy on disk is for later.
        let copy = update.clone();
        if !sink.feed.send(update) {
            return;
        }
        if let Err(error) = sink.saved.save(&copy) {
            tracing::warn!(object, %error, "last known state not saved");
        }
    }
}

/// What a watched object is told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp {
    uid: Option<String>,
    version: Option<String>,
}

impl Stamp {
    fn of(meta: &ObjectMeta) -> Self {
        Self { uid: meta.uid.clone(), version: meta.resource_version.clone() }
    }
}

type Changes<K, N> = Vec<(N, Option<K>)>;

/// What is known of one kind, and the listing under way.
struct Listing<K, N> {
    kind: &'static str,
    known: HashMap<N, Stamp>,
    listed: Option<Vec<DeserializeGuard<K>>>,
    update: fn(Changes<K, N>, bool) -> Update,
    name: fn(&ObjectMeta) -> N,
}

impl<K: Resource, N: Clone + Eq + Hash> Listing<K, N> {
    fn new<'a>(
        kind: &'static str,
        known: impl Iterator<Item = (N, &'a K)>,
        update: fn(Changes<K, N>, bool) -> Update,
        name: fn(&ObjectMeta) -> N,
    ) -> Self
    where
        K: 'a,
    {
        let known = known.map(|(name, object)| (name, Stamp::of(object.meta()))).collect();
        Self { kind, known, listed: None, update, name }
    }

    /// What is known may be of another history, in which a version was another object's state: all is news with the next list.
    fn distrust(&mut self) {
        self.known.values_mut().for_each(|stamp| *stamp = Stamp::default());
        self.listed = None;
    }

    /// What an event tells the engine, if anything.
    fn take(&mut self, event: Event<DeserializeGuard<K>>) -> Option<Update> {
        match event {
            Event::Init => {
                self.listed = Some(Vec::new());
                None
            }
            Event::InitApply(object) => {
                self.listed.get_or_insert_default().push(object);
                None
            }
            Event::InitDone => Some(self.listed_all()),
            Event::Apply(object) => {
                let name = (self.name)(object.meta());
                self.known.insert(name, Stamp::of(object.meta()));
                Some(self.tell(Vec::new(), vec![object], false))
            }
            Event::Delete(object) => {
                let name = (self.name)(object.meta());
                self.known.remove(&name);
                let mut update = (self.update)(vec![(name, None)], false);
                // A deletion has a resourceVersion of its own.
                update.version = version(object.meta());
                Some(update)
            }
        }
    }

    fn listed_all(&mut self) -> Update {
        let mut listed = self.listed.take().unwrap_or_default();
        let readable = listed.iter().filter(|object| object.0.is_ok());
        let newest = readable.map(|object| version(object.meta())).max().unwrap_or(0);
        let stamps: HashMap<N, Stamp> = listed
            .iter()
            .map(|object| ((self.name)(object.meta()), Stamp::of(object.meta())))
            .collect();
        let gone = self.known.keys().filter(|name| !stamps.contains_key(*name));
        let changes = gone.map(|name| (name.clone(), None)).collect();
        listed.retain(|object| {
            let name = (self.name)(object.meta());
            self.known.get(&name) != stamps.get(&name)
        });
        self.known = stamps;
        let mut update = self.tell(changes, listed, true);
        update.version = update.version.max(newest);
        update
    }

    /// The version of what cannot be read does not count: nothing was done for it.
    fn tell(
        &self,
        mut changes: Changes<K, N>,
        objects: Vec<DeserializeGuard<K>>,
        synced: bool,
    ) -> Update {
        let mut unreadable = Vec::new();
        for DeserializeGuard(object) in objects {
            match object {
                Ok(object) => changes.push(((self.name)(object.meta()), Some(object))),
                Err(InvalidObject { metadata, error }) => unreadable.push(Unreadable {
                    kind: self.kind,
                    name: name(&metadata),
                    virtual_service: owner(metadata),
                    error,
                }),
            }
        }
        Update { unreadable, ..(self.update)(changes, synced) }
    }
}

/// The VirtualService that an object belongs to: a slice that cannot be read tells it there only.
fn owner(metadata: ObjectMeta) -> Option<String> {
    let mut owners = metadata.owner_references.into_iter().flatten();
    owners.find(|owner| owner.kind == VirtualService::kind(&())).map(|owner| owner.name)
}
