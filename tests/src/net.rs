//! A network inside the guest: nodes (network namespaces) on links (bridges).
//!
//! ```no_run
//! use lvs_tests::net::{Link, Node};
//!
//! let (outside, inside) = (Link::new("outside"), Link::new("inside"));
//! let client = Node::new("client").on(&outside, "eth0", "203.0.113.50/24");
//! let director = Node::new("director")
//!     .on(&outside, "eth1", "203.0.113.1/24")
//!     .on(&inside, "eth0", "10.0.0.1/24")
//!     .sysctl("net.ipv4.ip_forward", "1");
//! let server = Node::new("rs1").on(&inside, "eth0", "10.0.0.101/24").route("default via 10.0.0.1");
//! ```
//!
//! What fails while a network is built ends the test.

mod daemon;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

pub use daemon::Daemon;

/// Where `ip netns` and `nsenter --net=` find namespaces.
const NAMESPACES: &str = "/run/netns";

/// A network segment: a bridge, in a namespace of its own that holds all bridges and answers to nobody.
#[derive(Clone, Debug)]
pub struct Link {
    name: String,
}

impl Link {
    /// Makes a segment. Its name has at most 15 bytes.
    #[track_caller]
    pub fn new(name: &str) -> Link {
        ip(
            switch(),
            &format!("link add {name} type bridge mcast_snooping 0\nlink set {name} up\n"),
        );
        Link { name: name.to_owned() }
    }

    /// The name it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From now on it makes sure that there is no loop (STP): a port that comes up has carrier and lets nothing pass for 4 s, twice
    /// the shortest forward delay. For its ports that are up this begins now.
    #[track_caller]
    pub fn spanning_tree(&self) {
        ip(
            switch(),
            &format!("link set {} type bridge forward_delay 200 stp_state 1\n", self.name),
        );
    }
}

/// A machine: a network namespace. It lives as long as the guest.
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    namespace: PathBuf,
    /// Interface, its MAC address, and the bridge port at the other end of its cable.
    cables: Vec<(String, String, String)>,
}

impl Node {
    /// A machine with nothing but `lo`, which is up.
    #[track_caller]
    pub fn new(name: &str) -> Node {
        let namespace = make_namespace(name);
        let node = Node { name: name.to_owned(), namespace, cables: Vec::new() };
        node.run(|| {
            // Addresses work at once: no duplicate address detection. `all` too, for what has inherited by then.
            for (sysctl, value) in [
                ("net.ipv6.conf.all.accept_dad", "0"),
                ("net.ipv6.conf.default.accept_dad", "0"),
                ("net.ipv6.conf.default.dad_transmits", "0"),
            ] {
                write_sysctl(sysctl, value);
            }
        });
        ip(&node.namespace, "link set lo up\n");
        node
    }

    /// The namespace in which the test itself runs, as a node: put on a link, the test can reach what is there.
    pub fn here() -> Node {
        let namespace = Path::new(NAMESPACES).join("here");
        if !namespace.exists() {
            bind_namespace(&namespace);
        }
        Node { name: "here".to_owned(), namespace, cables: Vec::new() }
    }

    /// Connects a new interface to a link. `addresses` are with their prefix length, separated by spaces; none is fine.
    ///
    /// MAC addresses are counted up from 02:00:00:00:00:01.
    #[track_caller]
    pub fn on(mut self, link: &Link, interface: &str, addresses: &str) -> Node {
        static CABLES: AtomicU16 = AtomicU16::new(1);
        let number = CABLES.fetch_add(1, Ordering::Relaxed);
        let (port, mac) = (format!("port{number}"), mac(number));
        // The other end's namespace is named by path, which iproute2 takes relative to /run/netns.
        let peer = self.namespace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ip(
            switch(),
            &format!(
                "link add {port} type veth peer name {interface} address {mac} netns {peer}\n\
                 link set {port} master {} up\n",
                link.name
            ),
        );
        let mut batch = format!("link set {interface} up\n");
        for address in addresses.split_whitespace() {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            batch.push_str(&format!("addr add {address} dev {interface}{nodad}\n"));
        }
        ip(&self.namespace, &batch);
        self.cables.push((interface.to_owned(), mac, port));
        self
    }

    /// Adds a route, in the words of `ip route add`.
    #[track_caller]
    pub fn route(self, route: &str) -> Node {
        ip(&self.namespace, &format!("route add {route}\n"));
        self
    }

    /// Sets a sysctl by its dotted name (a `/` stands for a dot in an interface's name).
    #[track_caller]
    pub fn sysctl(self, name: &str, value: &str) -> Node {
        self.run(|| write_sysctl(name, value));
        self
    }

    /// Runs lines of an `ip -batch` file in the node, such as `addr add 192.168.0.10/32 dev lo`.
    #[track_caller]
    pub fn ip(&self, batch: &str) {
        ip(&self.namespace, &format!("{batch}\n"));
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its network namespace.
    pub fn namespace(&self) -> &Path {
        &self.namespace
    }

    /// The MAC address of an interface that [`Node::on`] made.
    #[track_caller]
    pub fn mac(&self, interface: &str) -> &str {
        &self.cable(interface).1
    }

    /// Pulls the cable of an interface: it sees its carrier go. Its addresses and routes stay.
    #[track_caller]
    pub fn unplug(&self, interface: &str) {
        ip(switch(), &format!("link set {} down\n", self.cable(interface).2));
    }

    /// Puts the cable of an interface back.
    #[track_caller]
    pub fn plug(&self, interface: &str) {
        ip(switch(), &format!("link set {} up\n", self.cable(interface).2));
    }

    #[track_caller]
    fn cable(&self, interface: &str) -> &(String, String, String) {
        let cable = self.cables.iter().find(|(name, ..)| name == interface);
        cable.unwrap_or_else(|| panic!("{} has no interface {interface} on a link", self.name))
    }

    /// Runs a closure on a thread in the node's network namespace. Sockets it opens stay the node's.
    pub fn run<T: Send>(&self, closure: impl FnOnce() -> T + Send) -> T {
        run_in(&self.namespace, closure)
    }

    /// A command that will run in the node's network namespace, for the caller to complete and start.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace.display())).arg("--").arg(program);
        command
    }

    /// Runs a command, words separated by spaces, in the node and returns what it prints.
    ///
    /// # Errors
    /// When it cannot start or exits with another status than 0, with what it said on stderr.
    pub fn sh(&self, words: &str) -> anyhow::Result<String> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(words).stdin(Stdio::null());
        let output = self.run(|| shell.output())?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(
            output.status.success(),
            "{}: `{words}`: {}: {said}",
            self.name,
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// GETs a page of a server at `ADDRESS:PORT`, from the node: its body.
    ///
    /// # Errors
    /// When there is none, or its status is not 200.
    pub fn http_get(&self, server: &str, path: &str) -> anyhow::Result<String> {
        let mut answer = String::new();
        self.run(|| -> std::io::Result<()> {
            let mut stream = TcpStream::connect(server)?;
            // With 1.0 the answer ends with the connection.
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
            stream.read_to_string(&mut answer).map(drop)
        })
        .with_context(|| format!("{server}{path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.lines().next().unwrap_or_default();
        anyhow::ensure!(status.contains(" 200 "), "{server}{path}: {status}: {body}");
        Ok(body.to_owned())
    }

    /// Starts a daemon in the node. What it prints goes to a log that is shown if the test fails.
    #[track_caller]
    pub fn spawn(&self, command: &mut Command) -> Daemon {
        Daemon::start(self, command)
    }
}

fn run_in<T: Send>(namespace: &Path, closure: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        let file = File::open(namespace).unwrap_or_else(|e| panic!("{}: {e}", namespace.display()));
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET)
            .unwrap_or_else(|e| panic!("cannot enter {}: {e}", namespace.display()));
        closure()
    })
}

/// A thread may change its namespaces without a say in anybody else's.
fn on_a_thread<T: Send>(closure: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(closure).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Makes a named namespace without a fork: a thread gets a new one, which is then pinned by a bind mount.
#[track_caller]
fn make_namespace(name: &str) -> PathBuf {
    let path = Path::new(NAMESPACES).join(name);
    assert!(!path.exists(), "there is a node {name} already");
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| panic!("a new namespace: {e}"));
        bind_namespace(&path);
    });
    path
}

fn bind_namespace(path: &Path) {
    let bound = fs::create_dir_all(NAMESPACES).and_then(|()| File::create(path)).and_then(|_| {
        let flags = MsFlags::MS_BIND;
        Ok(mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, flags, None::<&str>)?)
    });
    bound.unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
}

/// The namespace of all bridges.
fn switch() -> &'static Path {
    static SWITCH: OnceLock<PathBuf> = OnceLock::new();
    SWITCH.get_or_init(|| {
        let namespace = make_namespace("switch");
        // It only carries frames: no address of its own, not even a link-local one.
        run_in(&namespace, || {
            write_sysctl("net.ipv6.conf.all.disable_ipv6", "1");
            write_sysctl("net.ipv6.conf.default.disable_ipv6", "1");
            for hook in ["arptables", "iptables", "ip6tables"] {
                // Present only where bridge netfilter is; where it is, frames must pass untouched.
                let _ = fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{hook}"), "0");
            }
        });
        namespace
    })
}

fn mac(number: u16) -> String {
    let [high, low] = number.to_be_bytes();
    format!("02:00:00:00:{high:02x}:{low:02x}")
}

/// The file of a sysctl named with dots; a slash stands for a dot in an interface's name.
pub(crate) fn sysctl_path(name: &str) -> PathBuf {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    Path::new("/proc/sys").join(name.chars().map(swap).collect::<String>())
}

#[track_caller]
fn write_sysctl(name: &str, value: &str) {
    let path = sysctl_path(name);
    fs::write(&path, value).unwrap_or_else(|e| panic!("cannot set {name} to {value}: {e}"));
}

/// Runs a batch in a namespace: one process however many lines.
#[track_caller]
fn ip(namespace: &Path, batch: &str) {
    let output = run_in(namespace, || {
        let mut child = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(batch.as_bytes())?;
        }
        child.wait_with_output()
    });
    let output = output.unwrap_or_else(|e| panic!("cannot run ip (package iproute2): {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip in {}: {said}the batch was:\n{batch}",
        namespace.display()
    );
}
