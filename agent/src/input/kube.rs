//! Slices and DirectorGroups from the API server: one watch a kind.
//!
//! What vanished while a watch was down is told by no event: each listing is compared with what was known before it,
//! including what an earlier run knew.

#[cfg(test)]
mod tests;

use super::saved::Saved;
use super::{Update, slice_name, version};
use crate::retry::{Retry, causes};
use crate::run::Feed;
use ::kube::runtime::WatchStreamExt;
use ::kube::runtime::watcher::{self, Event, watcher};
use ::kube::{Api, Client, Resource};
use futures::{StreamExt, pin_mut};
use lvs_crds::{DirectorGroup, VirtualServiceSlice};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use tokio::task::JoinSet;

/// The longest that a watch lasts. The client notices a silently dead one five seconds after this; its default would
/// be five minutes.
const WATCH_SECONDS: u32 = 45;

/// Watches both kinds until the engine is gone. `known`: what the engine knows from an earlier run.
pub fn watch(client: &Client, saved: Saved, known: &Update, feed: &Feed, tasks: &mut JoinSet<()>) {
    let slices = Listing::new(
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
        slice_name,
    );
    let groups = Listing::new(
        known.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.as_ref()?))),
        |groups, synced| Update { groups, groups_synced: synced, ..Update::default() },
        |group: &DirectorGroup| group.metadata.name.clone().unwrap_or_default(),
    );
    let api: Api<VirtualServiceSlice> = Api::all(client.clone());
    tasks.spawn(follow(api, slices, saved.clone(), feed.clone(), "VirtualServiceSlices"));
    let api: Api<DirectorGroup> = Api::all(client.clone());
    tasks.spawn(follow(api, groups, saved, feed.clone(), "DirectorGroups"));
}

async fn follow<K, N>(
    api: Api<K>,
    mut listing: Listing<K, N>,
    saved: Saved,
    feed: Feed,
    object: &'static str,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    N: Clone + Eq + Hash,
{
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let stream = watcher(api, config).backoff(Retry::default());
    pin_mut!(stream);
    let mut away = false;
    while let Some(event) = stream.next().await {
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
        // The kernel first: the copy on disk is for later.
        let copy = update.clone();
        if !feed.send(update) {
            return;
        }
        if let Err(error) = saved.save(&copy) {
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
    fn of(object: &impl Resource) -> Self {
        let meta = object.meta();
        Self { uid: meta.uid.clone(), version: meta.resource_version.clone() }
    }
}

type Changes<K, N> = Vec<(N, Option<K>)>;

/// What is known of one kind, and the listing under way.
struct Listing<K, N> {
    known: HashMap<N, Stamp>,
    listed: Option<Vec<(N, K)>>,
    update: fn(Changes<K, N>, bool) -> Update,
    name: fn(&K) -> N,
}

impl<K: Resource, N: Clone + Eq + Hash> Listing<K, N> {
    fn new<'a>(
        known: impl Iterator<Item = (N, &'a K)>,
        update: fn(Changes<K, N>, bool) -> Update,
        name: fn(&K) -> N,
    ) -> Self
    where
        K: 'a,
    {
        let known = known.map(|(name, object)| (name, Stamp::of(object))).collect();
        Self { known, listed: None, update, name }
    }

    /// What an event tells the engine, if anything.
    fn take(&mut self, event: Event<K>) -> Option<Update> {
        match event {
            Event::Init => {
                self.listed = Some(Vec::new());
                None
            }
            Event::InitApply(object) => {
                let name = (self.name)(&object);
                self.listed.get_or_insert_default().push((name, object));
                None
            }
            Event::InitDone => Some(self.listed_all()),
            Event::Apply(object) => {
                let name = (self.name)(&object);
                self.known.insert(name.clone(), Stamp::of(&object));
                Some((self.update)(vec![(name, Some(object))], false))
            }
            Event::Delete(object) => {
                let name = (self.name)(&object);
                self.known.remove(&name);
                let mut update = (self.update)(vec![(name, None)], false);
                // A deletion has a resourceVersion of its own.
                update.version = version(object.meta());
                Some(update)
            }
        }
    }

    fn listed_all(&mut self) -> Update {
        let listed = self.listed.take().unwrap_or_default();
        let newest = listed.iter().map(|(_, object)| version(object.meta())).max().unwrap_or(0);
        let stamps: HashMap<N, Stamp> =
            listed.iter().map(|(name, object)| (name.clone(), Stamp::of(object))).collect();
        let gone: Vec<N> =
            self.known.keys().filter(|name| !stamps.contains_key(*name)).cloned().collect();
        let mut changes: Changes<K, N> = gone.into_iter().map(|name| (name, None)).collect();
        for (name, object) in listed {
            if self.known.get(&name) != stamps.get(&name) {
                changes.push((name, Some(object)));
            }
        }
        self.known = stamps;
        let mut update = (self.update)(changes, true);
        update.version = update.version.max(newest);
        update
    }
}
