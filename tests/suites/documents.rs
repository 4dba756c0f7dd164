//! What the documents say is what the code does, as far as a program can tell.

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::Node;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the events of the agent's log are.
const LOG_EVENTS: &str = "failover/wording.rs";
/// CamelCase words in the code that are no reasons: kinds, an event's action, and Kubernetes' own words.
const NO_REASONS: &[&str] = &[
    "DirectorGroup",
    "DirectorGroups",
    "DoesNotExist",
    "InternalIP",
    "LVSNode",
    "NotIn",
    "RealServer",
    "TakeOver",
    "VirtualService",
    "VirtualServiceSlice",
    "VirtualServiceSlices",
];

#[test]
fn every_reason_is_explained_and_every_explained_reason_exists() {
    let page = text("docs/status.md");
    let explained: BTreeSet<&str> = rows(&page).flat_map(|row| quoted(row, '`')).collect();
    let (mut known, mut spoken) = (BTreeSet::new(), BTreeSet::new());
    for file in sources(&["resolve/src", "agent/src", "operator/src", "ipvs/src"]) {
        let code = without_tests(&text(&file));
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let names_reasons =
                name == "reason.rs" || (name == "error.rs" && line.contains("=> \""));
            let words = quoted(line, '"').into_iter().filter(|word| is_word(word));
            let words: Vec<String> = words.map(str::to_owned).collect();
            spoken.extend(words.iter().cloned());
            // Events of the log are explained elsewhere: see below.
            if !file.ends_with(LOG_EVENTS) {
                known.extend(words.into_iter().filter(|w| names_reasons || has_two_humps(w)));
            }
        }
    }
    known.retain(|word| !NO_REASONS.contains(&word.as_str()));
    let said: BTreeSet<&str> = page.lines().flat_map(|line| quoted(line, '`')).collect();
    let unexplained: Vec<_> = known.iter().filter(|word| !said.contains(word.as_str())).collect();
    assert!(unexplained.is_empty(), "docs/status.md does not explain {unexplained:?}");
    let unknown: Vec<_> =
        explained.iter().filter(|word| is_word(word) && !spoken.contains(**word)).collect();
    assert!(unknown.is_empty(), "docs/status.md explains {unknown:?}, which the code never says");
}

#[test]
fn every_event_of_the_log_is_explained_and_every_explained_event_exists() {
    let code = without_tests(&text(Path::new("agent/src").join(LOG_EVENTS)));
    let (begin, end) = ("fn event(&self)", "\n    }\n");
    let code = code.split(begin).nth(1).and_then(|code| code.split(end).next()).expect("events");
    let known: BTreeSet<&str> = quoted(code, '"').into_iter().collect();
    let page = text("docs/operations.md");
    let row = page.lines().find(|line| line.starts_with("| `event` |")).expect("a row");
    let said: BTreeSet<&str> =
        quoted(row, '`').into_iter().filter(|word| *word != "event").collect();
    assert_eq!(known, said);
}

#[test]
fn every_metric_is_listed_and_every_listed_metric_exists() {
    let page = text("docs/operations.md");
    let said = page.lines().flat_map(|line| quoted(line, '`'));
    let listed: BTreeSet<_> = said.filter(|w| w.starts_with("lvs_") && !w.contains('=')).collect();
    let mut known = BTreeSet::new();
    for program in ["agent", "operator"] {
        let metrics = root().join(program).join("src/metrics.rs");
        let mut of_kinds = files(&metrics.with_extension(""), "rs");
        of_kinds.push(metrics);
        let code: String = of_kinds.iter().map(text).collect();
        for call in code.split("register").skip(1) {
            // register( NAME, or register_with_unit( NAME, .. Unit::Seconds
            let Some(arguments) = call.split(';').next() else { continue };
            let Some(name) = quoted(arguments, '"').first().copied() else { continue };
            let unit = if call.starts_with("_with_unit") { "_seconds" } else { "" };
            known.insert(format!("lvs_{program}_{name}{unit}"));
        }
    }
    known.retain(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    assert!(known.len() > 10, "{known:?}");
    let plain = |name: &str| name.strip_suffix("_total").unwrap_or(name).to_owned();
    let listed: BTreeSet<String> = listed.into_iter().map(plain).collect();
    assert_eq!(listed, known, "docs/operations.md beside */src/metrics.rs");
}

#[test]
fn every_link_leads_to_a_file() {
    let mut broken = Vec::new();
    for page in pages() {
        for target in text(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = root().join(&page).parent().map(Path::to_owned).unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = text("Makefile");
    let exists = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    for page in pages() {
        for rest in text(&page).split("make ").skip(1) {
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_command = text(&page).contains(&format!("`make {name}"))
                || text(&page).contains(&format!("\n    make {name}"));
            assert!(!is_command || exists(&name), "{}: make {name}", page.display());
        }
    }
}

/// It wants IPVS even for its help.
#[test]
fn every_option_that_ipvsadm_names_is_translated() {
    in_guest(Guest::kernel(), || -> anyhow::Result<()> {
        let help = Node::new("admin").sh("ipvsadm --help")?;
        let words = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let options: BTreeSet<&str> =
            words.filter(|word| word.len() > 3 && word.starts_with("--")).collect();
        anyhow::ensure!(options.len() > 40, "{help}");
        let page = text("docs/from-ipvsadm.md");
        let said: BTreeSet<&str> = page
            .lines()
            .flat_map(|line| quoted(line, '`'))
            .flat_map(str::split_whitespace)
            .collect();
        let missing: Vec<_> = options.iter().filter(|option| !said.contains(*option)).collect();
        anyhow::ensure!(missing.is_empty(), "docs/from-ipvsadm.md lacks {missing:?}");
        Ok(())
    });
}

/// The first column of the tables of reasons; the conditions' table is about other words.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    let reasons = page.split("\n## Reasons").skip(1);
    let lines = reasons.flat_map(str::lines).filter(|line| line.starts_with("| `"));
    lines.filter_map(|line| line.split('|').nth(1))
}

/// What stands between two marks, on one line.
fn quoted(line: &str, mark: char) -> Vec<&str> {
    line.split(mark).skip(1).step_by(2).collect()
}

fn is_word(word: &str) -> bool {
    word.len() > 3
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
        && word.contains(|c: char| c.is_ascii_lowercase())
}

fn has_two_humps(word: &str) -> bool {
    let small = word.chars().position(|c| c.is_ascii_lowercase()).unwrap_or(0);
    word.chars().skip(small).any(|c| c.is_ascii_uppercase())
}

fn without_tests(code: &str) -> String {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .map(PathBuf::from)
            .into();
    for folder in ["docs", "examples", "tests"] {
        pages.extend(files(Path::new(folder), "md"));
    }
    pages
}

/// Rust files that are not tests.
fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let all = folders.iter().flat_map(|folder| files(Path::new(folder), "rs"));
    all.filter(|file| !file.components().any(|c| c.as_os_str() == "tests")).collect()
}

/// All files with an extension in a folder and those below it, from the repository's root.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension)
            && path.file_stem().is_none_or(|stem| stem != "tests")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}
