//! What the bytes cost, without a kernel.

#![allow(clippy::expect_used)] // A benchmark.

use std::hint::black_box;
use std::io;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lvs_ipvs::codec::IpvsMessage;
use lvs_ipvs::{Client, Destination, DestinationKey, Forwarding, Operation, ServiceKey, Transport};
use netlink_packet_core::Emitable;

#[path = "../tests/capture/mod.rs"]
mod capture;

/// Answers a listing with recorded datagrams, whatever is asked.
struct Listing {
    datagrams: Vec<Vec<u8>>,
    next: usize,
    sequence: [u8; 4],
}

impl Transport for Listing {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.next = 0;
        self.sequence.copy_from_slice(&datagram[8..12]);
        Ok(())
    }

    fn recv(&mut self, into: &mut Vec<u8>, _wait: bool) -> io::Result<()> {
        into.clear();
        into.extend(&self.datagrams[self.next]);
        self.next += 1;
        let mut at = 0;
        while at < into.len() {
            into[at + 8..at + 12].copy_from_slice(&self.sequence);
            at += u32::from_ne_bytes(into[at..at + 4].try_into().expect("four")) as usize;
        }
        Ok(())
    }
}

/// The datagrams that answered the recorded request with `command` in `large.hex`, as far as its end.
fn listing(command: u8) -> Client<Listing> {
    let recorded = capture::datagrams("large.hex");
    let asked = recorded
        .iter()
        .position(|(sent, bytes)| *sent && bytes[16] == command)
        .expect("the request");
    let datagrams = recorded[asked + 1..]
        .iter()
        .take_while(|(sent, _)| !sent)
        .map(|(_, bytes)| bytes.clone())
        .collect();
    Client::with_family(Listing { datagrams, next: 0, sequence: [0; 4] }, 0)
}

fn codec(c: &mut Criterion) {
    let service = ServiceKey::tcp([192, 168, 0, 30], 1);
    let operation = Operation::NewDestination {
        service,
        destination: Destination::new(
            DestinationKey::new([10, 0, 1, 1], 80),
            Forwarding::Masquerade,
            1,
        ),
    };
    c.bench_function("encode one destination", |b| {
        b.iter(|| {
            let message = IpvsMessage::try_from(black_box(&operation)).expect("encodes");
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            bytes
        });
    });

    let mut group = c.benchmark_group("listings of 30");
    group.throughput(Throughput::Elements(30));
    let mut services = listing(4);
    assert_eq!(services.services().expect("decodes").len(), 30);
    group.bench_function("decode services", |b| b.iter(|| services.services().expect("decodes")));
    let mut destinations = listing(8);
    assert_eq!(destinations.destinations(&service).expect("decodes").len(), 30);
    group.bench_function("decode destinations", |b| {
        b.iter(|| destinations.destinations(&service).expect("decodes"));
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
