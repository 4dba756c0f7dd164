use super::*;
use crate::input::slice_name;
use crate::scenario::{service, slice};
use serde_json::json;

type Slices = Listing<VirtualServiceSlice, crate::input::SliceName>;

fn listing(known: &[VirtualServiceSlice]) -> Slices {
    Listing::new(
        SLICE,
        known.iter().map(|slice| (slice_name(slice), slice)),
        |slices, synced| Update { slices, slices_synced: synced, ..Update::default() },
        name,
    )
}

fn good(slice: VirtualServiceSlice) -> DeserializeGuard<VirtualServiceSlice> {
    DeserializeGuard(Ok(slice))
}

/// As a newer operator may write it.
fn newer(name: &str, version: u64) -> DeserializeGuard<VirtualServiceSlice> {
    let mut slice = serde_json::to_value(web(name, version)).unwrap();
    slice["spec"]["services"][0]["scheduler"] = json!("psychic");
    slice["metadata"]["ownerReferences"] = json!([{"apiVersion": "kube-lvs.io/v1alpha1", "kind": "VirtualService", "name": name, "uid": "1"}]);
    serde_json::from_value(slice).unwrap()
}

fn web(name: &str, version: u64) -> VirtualServiceSlice {
    slice(name, version, &[service("192.168.0.10", 80)], &[])
}

/// What a whole listing tells: what is there, then what is gone, by name.
fn list(listing: &mut Slices, slices: &[VirtualServiceSlice]) -> (Vec<String>, Vec<String>, u64) {
    assert!(listing.take(Event::Init).is_none());
    for slice in slices {
        assert!(listing.take(Event::InitApply(good(slice.clone()))).is_none());
    }
    let update = listing.take(Event::InitDone).unwrap();
    assert!(update.slices_synced);
    let names = |there: bool| {
        let of = update.slices.iter().filter(|(_, slice)| slice.is_some() == there);
        of.map(|((_, name), _)| name.clone()).collect()
    };
    (names(true), names(false), update.version)
}

#[test]
fn what_vanished_during_a_relist_is_told_as_gone() {
    let mut listing = listing(&[]);
    list(&mut listing, &[web("a", 1), web("b", 2)]);
    let (changed, gone, version) = list(&mut listing, &[web("b", 2), web("c", 5)]);
    assert_eq!((changed, gone, version), (vec!["c-0".to_owned()], vec!["a-0".to_owned()], 5));
}

#[test]
fn what_an_earlier_run_knew_and_the_api_does_not_is_gone() {
    let mut listing = listing(&[web("a", 1), web("b", 2)]);
    let (changed, gone, _) = list(&mut listing, &[web("b", 3)]);
    assert_eq!((changed, gone), (vec!["b-0".to_owned()], vec!["a-0".to_owned()]));
}

#[test]
fn a_relist_without_news_tells_nothing_but_how_far_it_is() {
    let mut listing = listing(&[]);
    list(&mut listing, &[web("a", 1), web("b", 2)]);
    assert_eq!(list(&mut listing, &[web("a", 1), web("b", 2)]), (vec![], vec![], 2));
}

#[test]
fn a_slice_made_anew_with_the_same_version_is_news() {
    let mut listing = listing(&[]);
    list(&mut listing, &[web("a", 1)]);
    let mut other = web("a", 1);
    other.metadata.uid = Some("another".to_owned());
    assert_eq!(list(&mut listing, &[other]).0, ["a-0"]);
}

#[test]
fn a_listing_that_breaks_off_tells_nothing_and_the_next_begins_anew() {
    let mut listing = listing(&[web("a", 1), web("b", 2)]);
    assert!(listing.take(Event::Init).is_none());
    assert!(listing.take(Event::InitApply(good(web("a", 1)))).is_none());
    let (changed, gone, _) = list(&mut listing, &[web("b", 2)]);
    assert_eq!((changed, gone), (vec![], vec!["a-0".to_owned()]));
}

#[test]
fn a_deletion_counts_with_its_own_version() {
    let mut listing = listing(&[web("a", 1)]);
    let update = listing.take(Event::Delete(good(web("a", 9)))).unwrap();
    assert_eq!((update.version, update.slices.len(), update.slices_synced), (9, 1, false));
    assert_eq!(list(&mut listing, &[]).1, [] as [String; 0]);
}

#[test]
fn what_cannot_be_read_is_told_and_neither_gone_nor_in_the_way() {
    let mut listing = listing(&[web("a", 1)]);
    listing.take(Event::Init);
    for object in [newer("a", 5), good(web("b", 3))] {
        listing.take(Event::InitApply(object));
    }
    let update = listing.take(Event::InitDone).unwrap();
    assert_eq!((update.slices_synced, update.version), (true, 3));
    assert_eq!(update.slices, [(slice_name(&web("b", 3)), Some(web("b", 3)))]);
    let [unreadable] = update.unreadable.as_slice() else { panic!("{update:?}") };
    assert_eq!((unreadable.kind, &unreadable.name), (SLICE, &slice_name(&web("a", 5))));
    assert_eq!(unreadable.virtual_service.as_deref(), Some("a"));
    assert!(unreadable.error.contains("psychic"), "{unreadable:?}");

    let update = listing.take(Event::Apply(newer("b", 6))).unwrap();
    assert_eq!((update.version, update.slices.len(), update.unreadable.len()), (0, 0, 1));
    let update = listing.take(Event::Delete(newer("b", 7))).unwrap();
    assert_eq!((update.version, update.slices), (7, vec![(slice_name(&web("b", 7)), None)]));
}
