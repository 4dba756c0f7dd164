//! The demo runs to its end, and what it shows is what its words say.

use std::process::Command;

#[test]
fn both_examples_are_shown_with_exact_shares_through_the_api_server() {
    let shown = demo(&[]);
    for line in ["$ kubectl get lvs", "virtualservice.kube-lvs.io/web condition met"] {
        assert!(shown.contains(line), "no {line:?} in:\n{shown}");
    }
    assert!(shown.contains("Programmed=True"), "{shown}");
    assert!(shown.contains("DR cannot translate ports"), "{shown}");
    assert_eq!(shares(&shown), EXPECTED, "{shown}");
    assert_failover(&shown);
    assert!(shown.lines().count() <= 160, "more than one can read:\n{shown}");
}

#[test]
fn both_examples_are_shown_with_exact_shares_from_files() {
    let shown = demo(&["--standalone"]);
    assert!(shown.contains("Programmed=True"), "{shown}");
    assert_eq!(shares(&shown), EXPECTED, "{shown}");
}

#[test]
fn a_director_that_loses_its_cables_is_replaced_before_the_audiences_eyes() {
    assert_failover(&demo(&["--failover"]));
}

/// Within 300 ms when the cables are pulled, and with nothing lost when they are back.
fn assert_failover(shown: &str) {
    let told = shown.lines().filter_map(|line| line.split_once(" connections begun, "));
    let told: Vec<(u64, u64)> = told
        .filter_map(|(_, rest)| {
            let (lost, rest) = rest.split_once(" lost;")?;
            let gap = rest.rsplit_once(": ")?.1.strip_suffix(" ms")?;
            Some((lost.parse().ok()?, gap.parse().ok()?))
        })
        .collect();
    let [(_, pulled), (lost, _)] = told[..] else { panic!("two events are told of:\n{shown}") };
    assert!(pulled <= 300 && lost == 0, "{told:?} in:\n{shown}");
    assert_eq!(shown.matches("All 20 held connections go on.").count(), 2, "{shown}");
}

/// In the order of the play: 30 clients, one client, 30 clients after the weight's change; 12 connections, 12 more.
const EXPECTED: [(&str, usize); 9] = [
    ("director", 20),
    ("rs1", 10),
    ("director", 6),
    ("director", 10),
    ("rs1", 20),
    ("rs2", 4),
    ("rs3", 8),
    ("rs2", 8),
    ("rs3", 4),
];

fn demo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lvs-demo"))
        .args(arguments)
        .output()
        .expect("the demo starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{shown}{said}", output.status);
    assert!(!shown.contains('\x1b'), "colours without a terminal:\n{shown}");
    shown
}

/// The lines with bars: a server's name, how many answers, the bar.
fn shares(shown: &str) -> Vec<(&str, usize)> {
    let words = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| match words[..] {
            [name, count, bar] if !bar.is_empty() && bar.bytes().all(|byte| byte == b'#') => {
                Some((name, count.parse().ok()?))
            }
            _ => None,
        })
        .collect()
}
