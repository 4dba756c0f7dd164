//! Every example is read without a complaint, and the folder's README names it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may.

use lvs_crds::manifest::{self, Object};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn folder() -> PathBuf {
    Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../examples")
}

/// Name and objects of each example.
fn examples() -> Vec<(String, Vec<Object>)> {
    let entries = fs::read_dir(folder()).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    yaml.map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = manifest::parse(&fs::read_to_string(&path).expect("text"));
        let objects =
            read.into_iter().map(|result| result.unwrap_or_else(|e| panic!("{name}: {e}")));
        (name.clone(), objects.collect())
    })
    .collect()
}

#[test]
fn every_example_is_valid_and_named_in_the_readme() {
    let readme = fs::read_to_string(folder().join("README.md")).expect("a README");
    let examples = examples();
    for (name, _) in &examples {
        assert!(readme.contains(&format!("| [{name}]({name}) |")), "README.md lacks {name}");
    }
    assert_eq!(readme.matches(".yaml) |").count(), examples.len());
}

#[test]
fn every_service_finds_a_real_server_of_its_example() {
    for (name, objects) in examples() {
        let labels: Vec<_> = objects
            .iter()
            .filter_map(|object| match object {
                Object::RealServer(server) => server.metadata.labels.clone(),
                _ => None,
            })
            .collect();
        for object in &objects {
            let Object::VirtualService(service) = object else { continue };
            let wanted =
                service.spec.real_servers.selector.match_labels.clone().unwrap_or_default();
            let found = labels.iter().any(|l| wanted.iter().all(|(k, v)| l.get(k) == Some(v)));
            assert!(found || name == "director-group.yaml", "{name}");
        }
    }
}

#[test]
fn examples_can_stand_side_by_side() {
    let mut seen = HashMap::new();
    for (name, objects) in examples() {
        for object in objects {
            let id = match &object {
                Object::VirtualService(o) => {
                    format!("{:?} {:?}", o.spec.addresses, o.metadata.name)
                }
                Object::RealServer(o) => format!("RealServer {:?}", o.metadata.name),
                Object::DirectorGroup(o) => format!("DirectorGroup {:?}", o.metadata.name),
            };
            let before = seen.insert(id.clone(), name.clone());
            // The guide's two examples, and those of several directors, are complete: each for a cluster of its own.
            let complete =
                |n: &str| ["dr.yaml", "nat.yaml"].contains(&n) || n.starts_with("failover-");
            let both = before.as_deref().is_some_and(complete) && complete(&name);
            assert!(before.is_none() || both, "{id} is in {name} and {before:?}");
        }
    }
}
