//! A whole table into an empty kernel: our client beside `ipvsadm -R`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use lvs_ipvs::{Client, Destination, DestinationKey, Forwarding, Operation, Service, ServiceKey};

use crate::net::Node;

/// Nodes live as long as the guest, so each needs a name of its own.
static ROUND: AtomicUsize = AtomicUsize::new(0);

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Cold {
    /// Virtual services.
    pub services: u16,
    /// Real servers of each.
    pub destinations: u8,
    /// Netlink requests that our client sent.
    pub requests: u64,
    /// Our client.
    pub ours: Duration,
    /// `ipvsadm -R`, its start included.
    pub ipvsadm: Duration,
}

impl Cold {
    /// Our time as a share of ipvsadm's.
    pub fn ratio(&self) -> f64 {
        self.ours.as_secs_f64() / self.ipvsadm.as_secs_f64()
    }
}

/// Programs `services` x `destinations` with our client, then with `ipvsadm -R`, each into a network namespace of its
/// own that has no table yet.
///
/// # Errors
/// When either leaves another number of services or destinations behind than it was asked for.
pub fn cold_programming(services: u16, destinations: u8) -> anyhow::Result<Cold> {
    let name =
        |who| format!("{who}-{services}x{destinations}-{}", ROUND.fetch_add(1, Ordering::Relaxed));
    let (requests, ours) = with_ours(&Node::new(&name("ours")), services, destinations)?;
    let ipvsadm = with_ipvsadm(&Node::new(&name("ipvsadm")), services, destinations)?;
    Ok(Cold { services, destinations, requests, ours, ipvsadm })
}

fn with_ours(node: &Node, services: u16, destinations: u8) -> anyhow::Result<(u64, Duration)> {
    let operations = operations(services, destinations);
    let measured = node.run(|| {
        let start = Instant::now();
        let mut client = Client::open()?;
        for result in client.apply(&operations) {
            result?;
        }
        anyhow::Ok((client.requests(), start.elapsed()))
    })?;
    count_and_clear(node, services, destinations)?;
    Ok(measured)
}

fn with_ipvsadm(node: &Node, services: u16, destinations: u8) -> anyhow::Result<Duration> {
    let mut rules = String::new();
    for service in 0..services {
        let vip = vip(service);
        writeln!(rules, "-A -t {vip}:80 -s wlc")?;
        for destination in 0..destinations {
            writeln!(rules, "-a -t {vip}:80 -r {}:80 -g -w 1", real_server(destination))?;
        }
    }
    let path = format!("/tmp/{}", node.name());
    fs::write(&path, rules)?;
    let mut command = node.command("ipvsadm");
    command.arg("-R").stdin(File::open(&path)?);
    let start = Instant::now();
    let status = command.status().context("ipvsadm")?;
    let took = start.elapsed();
    ensure!(status.success(), "ipvsadm -R: {status}");
    fs::remove_file(&path)?;
    count_and_clear(node, services, destinations)?;
    Ok(took)
}

fn operations(services: u16, destinations: u8) -> Vec<Operation> {
    let mut operations = Vec::new();
    for service in 0..services {
        let key = ServiceKey::tcp(vip(service), 80);
        operations.push(Operation::NewService(Service::new(key, "wlc")));
        operations.extend((0..destinations).map(|destination| Operation::NewDestination {
            service: key,
            destination: Destination::new(
                DestinationKey::new(real_server(destination), 80),
                Forwarding::DirectRoute,
                1,
            ),
        }));
    }
    operations
}

/// Services are counted so that neither side can win by doing less; the table goes so that its estimators do not slow
/// down what is measured next.
fn count_and_clear(node: &Node, services: u16, destinations: u8) -> anyhow::Result<()> {
    let table = node.services();
    let found = table.iter().map(|service| service.destinations.len()).sum::<usize>();
    let wanted = usize::from(services) * usize::from(destinations);
    ensure!(
        table.len() == usize::from(services) && found == wanted,
        "{}: {} services and {found} destinations instead of {services} and {wanted}",
        node.name(),
        table.len()
    );
    node.sh("ipvsadm -C").map(drop)
}

fn vip(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 1, high, low)
}

fn real_server(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 2, 0, number.saturating_add(1))
}
