//! Holds the conversations of `tests/scenes` with the kernel and writes their bytes to `DIR/*.hex`.
//!
//! It needs root and an empty IPVS table of a network namespace with an interface `dummy0` that is up:
//! best a User Mode Linux guest. `record DIR`

#[path = "../tests/scenes/mod.rs"]
mod scenes;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::{env, fs, io};

use lvs_ipvs::{Client, NetlinkTransport, Transport};

struct Recorder {
    inner: NetlinkTransport,
    lines: Rc<RefCell<String>>,
}

impl Recorder {
    fn note(&self, direction: char, bytes: &[u8]) {
        let mut lines = self.lines.borrow_mut();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{direction} {hex}");
    }
}

impl Transport for Recorder {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.note('>', datagram);
        self.inner.send(datagram)
    }

    fn recv(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<()> {
        self.inner.recv(into, wait)?;
        self.note('<', into);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args().nth(1).ok_or("usage: record DIR")?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    for (name, scene) in scenes::each() {
        let lines = Rc::new(RefCell::new(format!(
            "# Linux {}, User Mode Linux, little-endian; made by `record`.\n\
             # One datagram a line: > to the kernel, < from it.\n",
            release.trim()
        )));
        let inner = NetlinkTransport::open()?;
        scene(&mut Client::connect(Recorder { inner, lines: lines.clone() })?);
        fs::write(format!("{folder}/{name}.hex"), lines.borrow().as_bytes())?;
        println!("{name}: recorded");
    }
    Ok(())
}
