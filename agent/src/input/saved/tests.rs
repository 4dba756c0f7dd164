use super::*;
use crate::scenario::{group, service, slice};
use tempfile::TempDir;

fn web(version: u64) -> VirtualServiceSlice {
    slice("web", version, &[service("192.168.0.10", 80)], &[])
}

fn told(slice: Option<VirtualServiceSlice>) -> Update {
    Update {
        unreadable: Vec::new(),
        slices: vec![(slice_name(&web(1)), slice)],
        groups: vec![("default".to_owned(), Some(group("d")))],
        version: 7,
        slices_synced: true,
        groups_synced: true,
    }
}

#[test]
fn what_was_saved_is_loaded_but_is_not_the_last_word() {
    let dir = TempDir::new().unwrap();
    let saved = Saved::open(dir.path()).unwrap();
    saved.save(&told(Some(web(7)))).unwrap();
    let loaded = Saved::open(dir.path()).unwrap().load();
    assert_eq!(loaded.slices, told(Some(web(7))).slices);
    assert_eq!(loaded.groups, told(None).groups);
    assert_eq!(loaded.version, 7);
    assert!(!loaded.slices_synced && !loaded.groups_synced);
}

#[test]
fn what_is_gone_is_not_loaded_any_more() {
    let dir = TempDir::new().unwrap();
    let saved = Saved::open(dir.path()).unwrap();
    saved.save(&told(Some(web(7)))).unwrap();
    saved.save(&told(None)).unwrap();
    saved.save(&told(None)).unwrap();
    assert_eq!(saved.load().slices, []);
}

#[test]
fn a_torn_file_is_skipped_and_the_rest_is_loaded() {
    let dir = TempDir::new().unwrap();
    let saved = Saved::open(dir.path()).unwrap();
    saved.save(&told(Some(web(7)))).unwrap();
    for (name, text) in [("default_torn.json", "{\"metadata\":"), ("default_empty.json", "")] {
        fs::write(dir.path().join("slices").join(name), text).unwrap();
    }
    fs::write(dir.path().join("slices/default_x.json.new"), "half").unwrap();
    assert_eq!(saved.load().slices.len(), 1);
}

#[test]
fn the_last_good_manifests_are_kept_by_file_until_the_file_is_gone() {
    let dir = TempDir::new().unwrap();
    let saved = Saved::open(dir.path()).unwrap();
    let text = "---\n{\"apiVersion\": \"kube-lvs.io/v1alpha1\", \"kind\": \"RealServer\", \"metadata\": {\"name\": \"a\"}, \
                \"spec\": {\"address\": \"10.0.0.1\"}}\n";
    saved.save_manifest("a.yaml", Some(text)).unwrap();
    let loaded = saved.load_manifests();
    assert_eq!(loaded.get("a.yaml").map(Vec::len), Some(1));
    saved.save_manifest("a.yaml", None).unwrap();
    assert!(saved.load_manifests().is_empty());
}
