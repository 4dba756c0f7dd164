//! What a program is made of: its dependencies by cargo's own account, their checksums from the lock file.

use std::collections::BTreeMap;

use crate::Error;

/// A package that a program is linked from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as an SPDX expression; empty when it states none.
    pub license: String,
}

/// How `cargo tree` has to be asked for [`packages`].
pub const TREE: [&str; 8] = [
    "--edges",
    "normal,no-proc-macro",
    "--prefix",
    "none",
    "--no-dedupe",
    "--format",
    "{p}\t{l}",
    "--locked",
];

/// The packages that `cargo tree` with [`TREE`] lists: the program's own first, each once.
///
/// # Errors
/// When a line is not as `cargo tree` writes it.
pub fn packages(tree: &str) -> Result<Vec<Package>, Error> {
    let mut all: Vec<Package> = Vec::new();
    for line in tree.lines() {
        let (package, license) = line.split_once('\t').ok_or_else(|| unexpected(line))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            return Err(unexpected(line));
        };
        let package = Package {
            name: name.to_owned(),
            version: version.strip_prefix('v').ok_or_else(|| unexpected(line))?.to_owned(),
            // The form that cargo took before SPDX expressions.
            license: license.replace('/', " OR "),
        };
        if !all.contains(&package) {
            all.push(package);
        }
    }
    if let Some((_, others)) = all.split_first_mut() {
        others.sort();
    }
    Ok(all)
}

fn unexpected(line: &str) -> Error {
    Error::Dependencies(format!(
        "cargo tree wrote a line that is not PACKAGE VERSION\\tLICENCE: {line:?}"
    ))
}

/// The SHA-256 of each package's source by (name, version), from `Cargo.lock`; packages of the workspace have none.
pub fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut all = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let prefix = format!("{name} = \"");
            let mut lines = block.lines();
            lines.find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            all.insert((name.to_owned(), version.to_owned()), checksum.to_owned());
        }
    }
    all
}
