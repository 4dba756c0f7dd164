//! The documents know the API: their manifests are valid, and no field or word of it is left out.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may.

use lvs_crds::manifest;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The text of each file with this extension in a folder of the repository and those below it.
fn texts(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("the folder");
        let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push((path.display().to_string(), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found
}

#[test]
fn every_whole_manifest_in_the_documents_is_valid() {
    let mut read = 0;
    for (page, text) in texts("docs", "md") {
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.starts_with("apiVersion: kube-lvs.io")) {
            for object in manifest::parse(block) {
                object.unwrap_or_else(|error| panic!("{page}: {error}\n{block}"));
                read += 1;
            }
        }
    }
    assert!(read > 10, "{read}");
}

/// The names of all fields below, and all words that they may have as a value.
fn words(schema: &Value, found: &mut Vec<String>) {
    for (name, child) in schema["properties"].as_object().into_iter().flatten() {
        // Kubernetes' own, as `matchLabels` is.
        if name == "matchExpressions" {
            continue;
        }
        found.push(name.clone());
        words(child, found);
    }
    let values = schema["enum"].as_array().into_iter().flatten();
    found.extend(values.filter_map(Value::as_str).map(str::to_owned));
    if schema["items"].is_object() {
        words(&schema["items"], found);
    }
}

#[test]
fn every_field_and_word_of_a_users_spec_occurs_in_a_document_or_an_example() {
    let mut pages = texts("docs", "md");
    pages.extend(texts("examples", "yaml"));
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let said: Vec<&str> =
        pages.iter().flat_map(|(_, text)| text.split(|c| !is_letter(c))).collect();
    let mut wanted = Vec::new();
    for crd in lvs_crds::all_crds() {
        let crd = serde_json::to_value(&crd).expect("serializable");
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        if ["VirtualService", "RealServer", "DirectorGroup"].contains(&kind) {
            let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            words(&spec["spec"], &mut wanted);
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|word| !said.contains(&word.as_str())).collect();
    assert!(missing.is_empty(), "in no document and no example: {missing:?}");
    assert!(wanted.len() > 60, "{}", wanted.len());
}
