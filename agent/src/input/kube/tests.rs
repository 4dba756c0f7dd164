use super::*;
use crate::scenario::{service, slice};

type Slices = Listing<VirtualServiceSlice, crate::input::SliceName>;

fn listing(known: &[VirtualServiceSlice]) -> Slices {
    Listing::new(
        known.iter().map(|slice| (slice_name(slice), slice)),
        |slices, synced| Update { slices, slices_synced: synced, ..Update::default() },
        slice_name,
    )
}

fn web(name: &str, version: u64) -> VirtualServiceSlice {
    slice(name, version, &[service("192.168.0.10", 80)], &[])
}

/// What a whole listing tells: what is there, then what is gone, by name.
fn list(listing: &mut Slices, slices: &[VirtualServiceSlice]) -> (Vec<String>, Vec<String>, u64) {
    assert!(listing.take(Event::Init).is_none());
    for slice in slices {
        assert!(listing.take(Event::InitApply(slice.clone())).is_none());
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
    assert!(listing.take(Event::InitApply(web("a", 1))).is_none());
    let (changed, gone, _) = list(&mut listing, &[web("b", 2)]);
    assert_eq!((changed, gone), (vec![], vec!["a-0".to_owned()]));
}

#[test]
fn a_deletion_counts_with_its_own_version() {
    let mut listing = listing(&[web("a", 1)]);
    let update = listing.take(Event::Delete(web("a", 9))).unwrap();
    assert_eq!((update.version, update.slices.len(), update.slices_synced), (9, 1, false));
    assert_eq!(list(&mut listing, &[]).1, [] as [String; 0]);
}
