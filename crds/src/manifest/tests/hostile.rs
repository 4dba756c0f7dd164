//! Files that want more than a manifest may have.

use super::*;

#[test]
fn a_file_of_ten_megabytes_is_refused_with_the_limit() {
    let text = format!("{SERVICE}# {}\n", "x".repeat(10_000_000));
    assert!(error(&text).contains("more than the 3145728 that are read"), "{}", error(&text));
    let Err(error) = parse_bytes(text.as_bytes()).remove(0) else { panic!() };
    assert!(matches!(error.problem, Problem::FileTooLarge(_)));
}

#[test]
fn a_document_of_a_megabyte_is_refused_and_the_next_one_read() {
    let text = format!("{SERVICE}# {}\n---\n{SERVER}", "x".repeat(1 << 20));
    let results = parse(&text);
    assert!(matches!(results[0].as_ref().unwrap_err().problem, Problem::DocumentTooLarge(_)));
    assert_eq!(name(results[1].as_ref().unwrap()), "web-1");
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..10 {
        let before = format!("*a{}", i - 1);
        text += &format!("a{i}: &a{i} [{}]\n", [before.as_str(); 10].join(", "));
    }
    assert!(matches!(one(&text).unwrap_err().problem, Problem::Yaml(_)));
}

#[test]
fn an_anchor_used_now_and_then_is_fine() {
    let text =
        SERVICE.replace("name: web\n", "name: &name web\n").replace("{app: web}", "{app: *name}");
    assert!(one(&text).is_ok(), "{}", error(&text));
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "{a: ".repeat(50_000), "- ".repeat(100_000)] {
        assert!(matches!(one(&text).unwrap_err().problem, Problem::Yaml(_)));
    }
    let mut text = String::new();
    for depth in 0..400 {
        text += &format!("{}a:\n", " ".repeat(depth));
    }
    assert!(matches!(one(&text).unwrap_err().problem, Problem::Yaml(_)));
}

#[test]
fn many_nodes_are_refused() {
    let text = format!("a: [{}]\n", "1,".repeat(200_000));
    assert!(matches!(one(&text).unwrap_err().problem, Problem::Yaml(_)));
}

#[test]
fn numbers_that_json_cannot_hold_are_refused_for_their_type() {
    for number in ["99999999999999999999", "-1e30", "0x1ffffffffffffffffffff"] {
        let told = error(&SERVICE.replace("port: 80", &format!("port: {number}")));
        assert!(told.contains("spec.ports[0].port: must be of type integer"), "{number}: {told}");
    }
    for number in [".nan", ".inf", "1e400"] {
        let told = error(&SERVICE.replace("port: 80", &format!("port: {number}")));
        assert!(told.starts_with("line 8: not YAML: "), "{told}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let Err(error) = parse_bytes(b"kind: \xff\n").remove(0) else { panic!() };
    assert_eq!(error.to_string(), "the file is no UTF-8 text");
    assert!(std::error::Error::source(&error).is_some());
}
