//! The CRDs in the chart are those of this crate.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_chart_has_the_crds_of_this_source() {
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&package).join("..").join(lvs_crds::CHART_FOLDER);
    let files = lvs_crds::crd_files().expect("serializable");
    for file in &files {
        let committed = fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(
            committed == file.text,
            "{} is stale; run: cargo run -p lvs-crds --bin crdgen",
            file.name
        );
    }
    let count = fs::read_dir(&folder).expect("the chart's folder").count();
    assert_eq!(count, files.len(), "{} holds a file that is not generated", folder.display());
}
