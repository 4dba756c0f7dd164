//! The demo runs to its end, and what it shows is what its words say.

use std::process::Command;

#[test]
fn both_examples_are_shown_with_exact_shares_through_the_api_server() {
    let shown = demo(&[], &[]);
    assert_cluster(&shown);
    assert_failover(&shown);
    assert!(shown.lines().count() <= 160, "more than one can read:\n{shown}");
}

/// What `make demo` does on a machine that has no kernel of ours yet: Debian's packaged one, in real time, in which the director that
/// is not the home of the VIP may be ready first.
#[test]
fn a_first_run_with_the_packaged_kernel_comes_to_its_end() {
    let shown = demo(&[], &[("BED_KERNEL", "debian"), LATE]);
    assert_cluster(&shown);
    assert!(shown.contains("lvs2 was ready first."), "{shown}");
    // What is lost, and for how long, is up to whatever else the machine does.
    assert_eq!(events(&shown).len(), 2, "{shown}");
    assert_eq!(shown.matches("All 20 held connections go on.").count(), 2, "{shown}");
}

#[test]
fn a_vip_that_another_was_ready_for_first_goes_home_before_anything_is_shown() {
    let shown = demo(&["--failover"], &[LATE]);
    assert!(shown.contains("lvs2 was ready first."), "{shown}");
    assert_failover(&shown);
}

/// The VIP's home, lvs1, is told of the group last.
const LATE: (&str, &str) = ("LVS_DEMO_FIRST", "lvs2");

fn assert_cluster(shown: &str) {
    for line in ["$ kubectl get lvs", "virtualservice.kube-lvs.io/web condition met"] {
        assert!(shown.contains(line), "no {line:?} in:\n{shown}");
    }
    assert!(shown.contains("Programmed=True"), "{shown}");
    assert!(shown.contains("DR cannot translate ports"), "{shown}");
    assert_eq!(shares(shown), EXPECTED, "{shown}");
}

#[test]
fn both_examples_are_shown_with_exact_shares_from_files() {
    let shown = demo(&["--standalone"], &[]);
    assert!(shown.contains("Programmed=True"), "{shown}");
    assert_eq!(shares(&shown), EXPECTED, "{shown}");
}

#[test]
fn a_director_that_loses_its_cables_is_replaced_before_the_audiences_eyes() {
    assert_failover(&demo(&["--failover"], &[]));
}

/// Within 300 ms when the cables are pulled, and with nothing lost when they are back.
fn assert_failover(shown: &str) {
    let told = events(shown);
    let [(_, pulled), (lost, _)] = told[..] else { panic!("two events are told of:\n{shown}") };
    assert!(pulled <= 300 && lost == 0, "{told:?} in:\n{shown}");
    assert_eq!(shown.matches("All 20 held connections go on.").count(), 2, "{shown}");
}

/// Of each event the connections that were lost, and the longest time without an answer in milliseconds.
fn events(shown: &str) -> Vec<(u64, u64)> {
    let told = shown.lines().filter_map(|line| line.split_once(" connections begun, "));
    told.filter_map(|(_, rest)| {
        let (lost, rest) = rest.split_once(" lost;")?;
        let gap = rest.rsplit_once(": ")?.1.strip_suffix(" ms")?;
        Some((lost.parse().ok()?, gap.parse().ok()?))
    })
    .collect()
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

fn demo(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lvs-demo"))
        .args(arguments)
        .envs(environment.iter().copied())
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
