//! What is in an archive, and that nothing but the input decides it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use lvs_images::archive::timestamp;
use lvs_images::bill::spdx;
use lvs_images::lock::{Package, checksums, packages};
use lvs_images::program::{Problem, check};
use lvs_images::{Image, pack};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const IMAGE: Image<'_> = Image {
    name: "registry.example/kube-lvs/agent:1.2.3",
    program: "lvs-agent",
    arguments: &[],
    binary: b"a program",
    bill: b"{}",
    user: "0:0",
    architecture: "amd64",
    created: 1_700_000_000,
    labels: &[("org.opencontainers.image.version", "1.2.3")],
};

fn files(tar: &[u8]) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        (path, (entry.header().clone(), bytes))
    });
    entries.collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The blob that a descriptor names, whose digest and size must be right.
fn blob(files: &BTreeMap<String, (tar::Header, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
    let hex = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = files[&format!("blobs/sha256/{hex}")].1.clone();
    assert_eq!(digest(&bytes), hex);
    assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
    bytes
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_program_another_digest() {
    let (first, second) = (pack(&IMAGE).unwrap(), pack(&IMAGE).unwrap());
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(first.digest, second.digest);
    let other = pack(&Image { binary: b"another program", ..IMAGE }).unwrap();
    assert_ne!(first.digest, other.digest);
}

#[test]
fn a_layer_has_the_program_and_its_bill_and_nothing_else() {
    let archive = files(&pack(&IMAGE).unwrap().bytes);
    let index: Value = serde_json::from_slice(&archive["index.json"].1).unwrap();
    let manifest: Value = serde_json::from_slice(&blob(&archive, &index["manifests"][0])).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let mut unpacked = Vec::new();
    let compressed = blob(&archive, &manifest["layers"][0]);
    GzDecoder::new(compressed.as_slice()).read_to_end(&mut unpacked).unwrap();
    let layer = files(&unpacked);
    assert_eq!(layer.keys().collect::<Vec<_>>(), ["lvs-agent", "sbom.spdx.json"]);
    assert_eq!(layer["lvs-agent"].1, b"a program");
    for (path, mode) in [("lvs-agent", 0o755), ("sbom.spdx.json", 0o644)] {
        let header = &layer[path].0;
        assert_eq!(header.mode().unwrap(), mode, "{path}");
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{path}");
        assert_eq!(header.mtime().unwrap(), 1_700_000_000, "{path}");
    }
    let config: Value = serde_json::from_slice(&blob(&archive, &manifest["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&unpacked)));
    assert_eq!(config["config"]["Entrypoint"][0], "/lvs-agent");
    assert_eq!(config["config"]["User"], "0:0");
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
}

#[test]
fn an_index_names_the_image_for_containerd_and_by_its_tag() {
    let archive = files(&pack(&IMAGE).unwrap().bytes);
    let index: Value = serde_json::from_slice(&archive["index.json"].1).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], IMAGE.name);
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1.2.3");
    assert_eq!(archive["oci-layout"].1, br#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn times_are_as_rfc_3339_has_them() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_798_761_599, "2026-12-31T23:59:59Z"),
    ] {
        assert_eq!(timestamp(seconds), text);
    }
}

#[test]
fn a_bill_lists_each_package_once_with_its_licence_and_checksum() {
    let tree = "lvs-agent v0.1.0 (/somewhere)\tApache-2.0\nring v0.17.14\tMIT/Apache-2.0\nbytes v1.0.0+x_y\tMIT\nring v0.17.14\tMIT/Apache-2.0\n";
    let packages = packages(tree).unwrap();
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["lvs-agent", "bytes", "ring"]);
    let lock = "version = 4\n\n[[package]]\nname = \"ring\"\nversion = \"0.17.14\"\nsource = \"a registry\"\nchecksum = \"abcd\"\n\n[[package]]\nname = \"lvs-agent\"\nversion = \"0.1.0\"\n";
    let bill: Value =
        serde_json::from_slice(&spdx(&packages, &checksums(lock), 0).unwrap()).unwrap();
    assert_eq!(bill["spdxVersion"], "SPDX-2.3");
    assert_eq!(bill["packages"][2]["licenseDeclared"], "MIT OR Apache-2.0");
    assert_eq!(bill["packages"][2]["checksums"][0]["checksumValue"], "abcd");
    assert_eq!(bill["packages"][0].get("checksums"), None);
    assert_eq!(bill["packages"][1]["SPDXID"], "SPDXRef-Package-bytes-1.0.0-x-y");
    let ids: Vec<_> = bill["relationships"].as_array().unwrap().iter().collect();
    assert_eq!(ids[0]["relationshipType"], "DESCRIBES");
    assert_eq!(ids.len(), 3);
}

#[test]
fn what_is_no_tree_and_what_is_nothing_are_errors() {
    assert!(packages("no tab here").unwrap_err().to_string().contains("no tab here"));
    assert!(packages("name 1.0\tMIT").is_err());
    let none: Vec<Package> = packages("").unwrap();
    assert!(spdx(&none, &BTreeMap::new(), 0).is_err());
}

/// An ELF file of one program header.
fn elf(machine: u16, segment: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
    bytes[64..68].copy_from_slice(&segment.to_le_bytes());
    bytes
}

#[test]
fn a_program_that_an_empty_image_cannot_start_is_refused() {
    assert_eq!(check(&elf(62, 1), "amd64"), Ok(()));
    assert_eq!(check(&elf(183, 1), "arm64"), Ok(()));
    assert_eq!(check(&elf(62, 3), "amd64"), Err(Problem::Dynamic));
    assert_eq!(check(&elf(183, 1), "amd64"), Err(Problem::Machine(183)));
    assert_eq!(check(b"#!/bin/sh\n", "amd64"), Err(Problem::NoElf));
    let whole = elf(62, 1);
    for end in 0..whole.len() - 56 + 4 {
        assert_eq!(check(&whole[..end], "amd64"), Err(Problem::NoElf), "{end} bytes of it");
    }
}
