//! Recorded bytes: reading them, and a transport that plays them back.

#![allow(dead_code)] // Each test binary uses its part.
#![allow(clippy::expect_used, clippy::panic)] // Test code, also where no #[test] is near.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::{fs, io};

use lvs_ipvs::Transport;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// The captures' file names, sorted.
pub fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder())
        .expect("captures")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("utf-8"))
        .filter(|name| name.ends_with(".hex"))
        .collect();
    names.sort();
    names
}

/// The datagrams of a capture: whether sent, and the bytes.
pub fn datagrams(name: &str) -> Vec<(bool, Vec<u8>)> {
    let path = folder().join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (direction, hex) = line.split_once(' ').expect("direction and bytes");
            let bytes = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
                .collect();
            (direction == ">", bytes)
        })
        .collect()
}

/// Everything that the kernel ever answered in the captures.
pub fn replies() -> Vec<Vec<u8>> {
    names()
        .iter()
        .flat_map(|name| datagrams(name))
        .filter_map(|(sent, bytes)| (!sent).then_some(bytes))
        .collect()
}

/// Plays a capture: takes only the bytes that were sent then, and gives those that came.
pub struct Replay(VecDeque<(bool, Vec<u8>)>);

impl Replay {
    pub fn of(name: &str) -> Self {
        Self(datagrams(&format!("{name}.hex")).into())
    }

    /// All of it must have been played.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "{} datagrams are left", self.0.len());
    }
}

impl Transport for Replay {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let (sent, bytes) = self.0.pop_front().expect("the capture goes on");
        assert!(sent, "the capture has an answer where a request is sent");
        assert_eq!(datagram, bytes, "the request differs from the recorded one");
        Ok(())
    }

    fn recv(&mut self, into: &mut Vec<u8>, _wait: bool) -> io::Result<()> {
        into.clear();
        match self.0.pop_front() {
            Some((false, bytes)) => into.extend(bytes),
            _ => panic!("an answer is read where the capture has none"),
        }
        Ok(())
    }
}
