//! A million broken answers: none may panic, none may hang. The seed is fixed; `FUZZ_SEED` changes it.

#![cfg(target_endian = "little")]
#![allow(clippy::expect_used)] // Test code, also where no #[test] is near.

mod capture;

use std::io;

use lvs_ipvs::{Client, Operation, ServiceKey, Transport};

const INPUTS: u64 = 1_000_000;
/// Large datagrams are cut into pieces of at most so many messages: it is messages that get broken.
const MESSAGES: usize = 3;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Answers one datagram once, with the bytes at hand under the request's number.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    headers: Vec<usize>,
    sequence: [u8; 4],
    asked: bool,
}

impl Transport for Answer {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.sequence.copy_from_slice(&datagram[8..12]);
        self.asked = true;
        Ok(())
    }

    fn recv(&mut self, into: &mut Vec<u8>, _wait: bool) -> io::Result<()> {
        into.clear();
        if !std::mem::take(&mut self.asked) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into.extend(&self.bytes);
        for &header in &self.headers {
            if let Some(field) = into.get_mut(header + 8..header + 12) {
                field.copy_from_slice(&self.sequence);
            }
        }
        Ok(())
    }
}

/// Recorded answers in pieces, each with where its messages begin.
fn pieces() -> Vec<(Vec<u8>, Vec<usize>)> {
    let mut pieces = Vec::new();
    for datagram in capture::replies() {
        let mut messages = Vec::new();
        let mut rest = datagram.as_slice();
        while rest.len() >= 16 {
            let length = u32::from_le_bytes(rest[..4].try_into().expect("four")) as usize;
            let (message, more) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
            messages.push(message);
            rest = more;
        }
        for group in messages.chunks(MESSAGES) {
            let mut headers = Vec::new();
            let mut bytes = Vec::new();
            for message in group {
                headers.push(bytes.len());
                bytes.extend_from_slice(message);
            }
            pieces.push((bytes, headers));
        }
    }
    pieces
}

/// Breaks an answer somewhere, or makes one of nothing.
fn broken(random: &mut Random, pieces: &[(Vec<u8>, Vec<usize>)], answer: &mut Answer) {
    answer.bytes.clear();
    answer.headers.clear();
    if random.below(10) == 0 {
        let length = random.below(200);
        answer.bytes.extend((0..length).map(|_| random.next() as u8));
        answer.headers.push(0);
        if let Some(field) = answer.bytes.get_mut(..4) {
            // Otherwise hardly any would get past its own length.
            field.copy_from_slice(&(length as u32).to_le_bytes());
        }
    } else {
        let (bytes, headers) = &pieces[random.below(pieces.len())];
        answer.bytes.extend(bytes);
        answer.headers.extend(headers);
    }
    for _ in 0..=random.below(4) {
        let length = answer.bytes.len();
        let at = random.below(length);
        match random.below(8) {
            0 => answer.bytes.truncate(at),
            1 if length > 0 => {
                answer.bytes.remove(at);
            }
            2 => answer.bytes.insert(at, random.next() as u8),
            // Lengths and types are small numbers, so small ones hit the edges.
            3 | 4 if length > 0 => answer.bytes[at] = random.below(24) as u8,
            5 if length > 0 => answer.bytes[at] = 0xff,
            6 if length > 0 => answer.bytes[at] ^= 1 << random.below(8),
            _ if length > 0 => answer.bytes[at] = random.next() as u8,
            _ => {}
        }
    }
}

#[test]
fn a_million_broken_answers_neither_panic_nor_hang() {
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let pieces = pieces();
    let web = ServiceKey::tcp([192, 168, 0, 10], 80);
    let mut failed = 0u64;
    let mut decoded = 0u64;
    let mut client = Client::with_family(Answer::default(), 31);
    for input in 0..INPUTS {
        let mut answer = client.into_transport();
        broken(&mut random, &pieces, &mut answer);
        let ok = if input % 8 == 7 {
            let connected = Client::connect(answer);
            let ok = connected.is_ok();
            client = connected.unwrap_or_else(|_| Client::with_family(Answer::default(), 31));
            ok
        } else {
            client = Client::with_family(answer, 31);
            match input % 8 {
                0 => client.services().is_ok(),
                1 => client.destinations(&web).is_ok(),
                2 => client.daemons().is_ok(),
                3 => client.service(&web).is_ok(),
                4 => client.timeouts().is_ok(),
                5 => client.info().is_ok(),
                _ => client.execute(Operation::DelService(web)).is_ok(),
            }
        };
        if ok { decoded += 1 } else { failed += 1 }
    }
    // Both happen often, or the inputs test nothing.
    println!("{decoded} understood, {failed} refused");
    assert!(decoded > INPUTS / 50, "{decoded}");
    assert!(failed > INPUTS / 10, "{failed}");
}
