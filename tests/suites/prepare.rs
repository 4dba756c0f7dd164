//! What `make demo` and `make test` show of what they build, and what becomes of it when it fails or is interrupted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lvs_tests::{bed, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Builds nothing: counts to STEPS, one a second.
const COUNT: &str = r#"count() { # WHAT STEPS
  for n in $(seq "$2"); do echo "$n $2 $1" >"$BED_PROGRESS"; echo "step $n of $1"; sleep 1; done
}
"#;

#[test]
fn each_part_says_how_far_it_is_every_ten_seconds() {
    let output = run(
        "part kernel count 'Linux 6.12' 40; part 'control plane' count kubectl 11; await_parts",
        "sleep 19; kill -TERM $$",
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = said.lines().collect();
    let parts = ["kernel: Linux 6.12, ", "control plane: kubectl, "];
    for (line, (part, total)) in lines.iter().zip(parts.iter().zip([40, 11])) {
        assert!(line.starts_with(&format!("prepare: {part}")), "{said}");
        assert!(line.contains(&format!(" of {total} (")) && line.contains(" s left"), "{said}");
    }
    assert!(
        lines.len() == 4 && lines[2].starts_with("prepare: control plane: done in 1"),
        "{said}"
    );
    assert!(!said.contains('\x1b') && output.stdout.is_empty(), "{said}");
}

#[test]
fn what_is_there_already_is_not_spoken_of() {
    let output = run("part kernel true; part programs true; await_parts; echo done", ":");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout, b"done\n");
}

#[test]
fn on_a_terminal_each_part_has_a_line_with_a_bar_that_fits_it() {
    for (columns, bar) in [(80, true), (34, false)] {
        let script = script(
            "part kernel count 'Linux 6.12' 9; part programs count 'our programs' 8; await_parts",
            ":",
        );
        // Whoever runs the tests may have no colours, no terminal, or be a CI.
        let mut terminal = Command::new("script");
        terminal.args([
            "-qec",
            &format!("stty cols {columns}; bash '{}'", script.display()),
            "/dev/null",
        ]);
        let output = terminal
            .env("TERM", "xterm")
            .env_remove("CI")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output();
        let output = output.expect("script (package bsdutils)");
        let shown =
            String::from_utf8_lossy(&output.stdout).replace("\x1b[?7l", "").replace("\x1b[?7h", "");
        assert!(output.status.success(), "{shown}");
        let drawn = |line: &str| {
            line.rsplit('\r')
                .find(|part| !part.is_empty())
                .map(|it| it.replace("\x1b[K", "").replace("\x1b[2A", "").replace("\x1b[0m", ""))
        };
        let lines: Vec<String> = shown.lines().filter_map(drawn).collect();
        assert!(
            lines.iter().all(|line| line.chars().count() < columns && !line.contains('\x1b')),
            "{lines:#?}"
        );
        let under_way = |line: &&String| line.starts_with("kernel ") && line.contains(" %  ");
        let mut under_way = lines.iter().filter(under_way).peekable();
        assert!(under_way.peek().is_some(), "{lines:#?}");
        assert_eq!(under_way.any(|line| line.contains("#-")), bar, "{lines:#?}");
        let [.., kernel, programs] = &lines[..] else { panic!("{lines:#?}") };
        assert!(
            kernel.starts_with("kernel        done in ")
                && programs.starts_with("programs      done in "),
            "{lines:#?}"
        );
    }
}

#[test]
fn a_part_that_fails_ends_the_others_and_shows_the_end_of_its_log() {
    let start = Instant::now();
    let failing = "failing() { seq 1000; echo 'the sky is green' >&2; return 3; }";
    let parts =
        "part kernel count 'Linux 6.12' 300; part programs failing; await_parts; echo went on";
    let output = run(&format!("{failing}; {parts}"), ":");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty() && said.contains("could not build: programs."), "{output:?}");
    assert!(said.ends_with("999\n1000\nthe sky is green\n") && !said.contains("\n900\n"), "{said}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// What is in the background ignores Ctrl-C by itself.
#[test]
fn an_interrupt_ends_all_parts_and_what_they_have_started() {
    let pids = folder().join("started");
    let _ = fs::remove_file(&pids);
    let start = format!(
        "started() {{ bash -c 'sleep 600 & echo $! >>\"{}\"; wait' & wait; }}",
        pids.display()
    );
    let mut child = Command::new("bash");
    let script =
        script(&format!("{start}; part kernel started; part programs started; await_parts"), ":");
    let child = child.arg(script).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let read = || {
        fs::read_to_string(&pids)
            .unwrap_or_default()
            .lines()
            .flat_map(str::parse)
            .collect::<Vec<i32>>()
    };
    let all = eventually("both parts run", Duration::from_secs(30), read, |all: &Vec<i32>| {
        all.len() == 2
    });
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("ended by SIGINT"), "{output:?}");
    let alive = |pid: &i32| kill(Pid::from_raw(*pid), None).is_ok();
    eventually("they are gone", Duration::from_secs(5), || all.iter().any(alive), |alive| !alive);
}

#[test]
fn cargos_own_bar_is_read_and_kept_out_of_the_log() {
    let cargo = r#"printf '   Compiling a\n    Building [=>  ] 1/4: a\r    Building [==> ] 2/4: b, c\rerror: no\n' >&2; exit 101"#;
    let output = run(
        &format!(
            "building() {{ with_cargo 'our programs' bash -c \"$1\" || {{ cat \"$BED_PROGRESS\"; return 1; }}; }}; part programs building '{}'; await_parts",
            cargo.replace('\'', r"'\''")
        ),
        ":",
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.ends_with("\n   Compiling a\nerror: no\n2 4 our programs\n"), "{output:?}");
}

/// Runs what prepare.sh would, in a folder of its own; beside it, in the background, something else.
fn run(parts: &str, beside: &str) -> Output {
    let script = script(parts, beside);
    let output = Command::new("bash").arg(&script).stdin(Stdio::null()).output();
    output.expect("bash")
}

fn script(parts: &str, beside: &str) -> PathBuf {
    let name = std::thread::current().name().unwrap_or_default().replace("::", "-");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = format!(
        "set -euo pipefail\nexport CARGO_TARGET_DIR='{}'\n. '{}/tests/parts.sh'\n{COUNT}\n({beside}) &\n{parts}\n",
        folder().display(),
        workspace.display()
    );
    let path = folder().join(format!("{name}.sh"));
    fs::write(&path, text).unwrap();
    path
}

fn folder() -> PathBuf {
    let name = std::thread::current().name().unwrap_or_default().replace("::", "-");
    let folder = bed::target().join("bed/prepare").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
