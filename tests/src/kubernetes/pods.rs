//! Pods of the tests' own.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use lvs_images::{Image, pack};

/// The image of the tests' pods, and of the sandboxes around all pods: busybox, which without a command sleeps.
pub const TEST_IMAGE: &str = "kube-lvs.test/busybox:1";

/// Packs the test image.
pub(super) fn write_test_image(folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("test.tar"), pack_busybox(TEST_IMAGE, "busybox")?)
        .context("cannot write the test image")
}

/// An image of busybox under that name, at that path in it: an OCI archive.
///
/// # Errors
/// When there is no busybox.
pub fn pack_busybox(name: &str, program: &str) -> anyhow::Result<Vec<u8>> {
    let busybox = fs::read("/bin/busybox").context("no /bin/busybox (package busybox-static)")?;
    let archive = pack(&Image {
        name,
        program,
        arguments: &["sleep", "1000000000"],
        binary: &busybox,
        bill: b"{}",
        user: "0:0",
        architecture: "amd64",
        created: 0,
        labels: &[],
    })?;
    Ok(archive.bytes)
}
