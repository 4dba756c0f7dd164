//! `docs/rfc9568.md` names functions and tests that exist.

use std::fs;
use std::path::Path;

/// What stands between backquotes and looks like `FILE.rs:FUNCTION`.
fn references(page: &str) -> Vec<(&str, &str)> {
    let quoted = page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| {
        let parts: Vec<&str> = line.split('`').collect();
        parts.into_iter().skip(1).step_by(2)
    });
    quoted.filter_map(|words| words.split_once(':')).filter(|(f, _)| f.ends_with(".rs")).collect()
}

#[test]
fn each_function_and_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/rfc9568.md")).unwrap();
    let references = references(&page);
    assert!(references.len() > 60, "{}", references.len());
    let exists = |(file, function): &&(&str, &str)| {
        let text = fs::read_to_string(root.join("..").join(file)).unwrap_or_default();
        text.contains(&format!("fn {function}(")) || text.contains(&format!("fn {function}<"))
    };
    let missing: Vec<_> = references.iter().filter(|it| !exists(it)).collect();
    assert!(missing.is_empty(), "docs/rfc9568.md names what is not there: {missing:#?}");
}

#[test]
fn each_row_says_who_does_it_or_why_not() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rfc9568.md");
    let page = fs::read_to_string(page).unwrap();
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section"))
    {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "{row}");
        assert!(!cells[5].is_empty(), "neither a test nor a reason: {row}");
    }
}
