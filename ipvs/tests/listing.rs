//! Reading: listings that break, repeat or hold what nobody knows.

#![cfg(target_endian = "little")]
#![allow(clippy::expect_used)] // Test code, also where no #[test] is near.

mod capture;
mod fake;

use fake::{EBUSY, ENOBUFS, FAMILY, Fake, Step, ack, done, frame};
use lvs_ipvs::{Client, Error, ServiceKey};

const NLM_F_MULTI: u16 = 2;
const NLM_F_DUMP_INTR: u16 = 16;

/// The content of a service entry as a real kernel sent it.
fn service_entry() -> Vec<u8> {
    entry(1)
}

fn destination_entry() -> Vec<u8> {
    entry(5)
}

fn entry(command: u8) -> Vec<u8> {
    let datagram = capture::replies()
        .into_iter()
        .find(|bytes| bytes.len() > 100 && bytes[16] == command && bytes[4] > 0x10)
        .expect("one in the captures");
    let length = u32::from_le_bytes(datagram[..4].try_into().expect("four")) as usize;
    datagram[16..length].to_vec()
}

fn listing(sequence: u32, entries: &[Vec<u8>], flags: u16) -> Vec<Step> {
    let mut first = Vec::new();
    for entry in entries {
        first.extend(frame(FAMILY, NLM_F_MULTI | flags, sequence, entry));
    }
    vec![Step::Datagram(first), Step::Datagram(done(sequence, flags, 0))]
}

#[test]
fn an_interrupted_listing_is_read_again() {
    let mut times = 0;
    let (fake, sent) = Fake::new(move |requests| {
        times += 1;
        let flags = if times < 3 { NLM_F_DUMP_INTR } else { 0 };
        listing(requests[0].sequence, &[service_entry()], flags)
    });
    let services = Client::with_family(fake, FAMILY).services().expect("listed");
    assert_eq!(services.len(), 1, "what was read in vain does not count");
    assert_eq!(sent.borrow().len(), 3);
}

#[test]
fn a_listing_that_is_always_interrupted_is_given_up() {
    let (fake, sent) =
        Fake::new(|requests| listing(requests[0].sequence, &[service_entry()], NLM_F_DUMP_INTR));
    let error = Client::with_family(fake, FAMILY).services().expect_err("interrupted");
    assert!(matches!(error, Error::Interrupted { .. }));
    assert_eq!(sent.borrow().len(), 4);
}

#[test]
fn a_listing_in_the_way_is_read_off_first() {
    let mut times = 0;
    let (fake, sent) = Fake::new(move |requests| {
        times += 1;
        let sequence = requests[0].sequence;
        // Until it has been read to its end, the kernel begins no other.
        if times > 1 && requests[0].unread == 0 {
            return listing(sequence, &[service_entry(), service_entry()], 0);
        }
        let mut steps = vec![ack(sequence, EBUSY)];
        steps.extend(listing(0, &[service_entry()], 0));
        steps
    });
    assert_eq!(Client::with_family(fake, FAMILY).services().expect("listed").len(), 2);
    assert_eq!(sent.borrow().len(), 2);
}

#[test]
fn a_listing_that_stays_in_the_way_is_named() {
    let (fake, sent) = Fake::new(|requests| vec![ack(requests[0].sequence, EBUSY)]);
    let error = Client::with_family(fake, FAMILY).services().expect_err("busy");
    assert_eq!(error.reason(), "Busy");
    assert_eq!(sent.borrow().len(), 4);
}

#[test]
fn a_listing_that_breaks_off_is_an_error() {
    let (fake, _) = Fake::new(|requests| {
        let mut steps = listing(requests[0].sequence, &[service_entry()], 0);
        steps[1] = Step::Datagram(done(requests[0].sequence, 0, 12));
        steps
    });
    let error = Client::with_family(fake, FAMILY).services().expect_err("out of memory");
    assert_eq!(error.reason(), "OutOfMemory");
}

#[test]
fn a_listing_without_an_end_is_an_error() {
    let (fake, _) = Fake::new(|requests| {
        let mut steps = listing(requests[0].sequence, &[service_entry()], 0);
        steps.pop();
        steps
    });
    let error = Client::with_family(fake, FAMILY).services().expect_err("no end");
    assert_eq!(error.reason(), "NoReply");
}

#[test]
fn a_listing_with_a_loss_is_an_error_although_it_ends() {
    let (fake, _) = Fake::new(|requests| {
        let mut steps = listing(requests[0].sequence, &[service_entry()], 0);
        steps.insert(1, Step::Fails(ENOBUFS));
        steps
    });
    let error = Client::with_family(fake, FAMILY).services().expect_err("a hole");
    assert_eq!(error.reason(), "AnswerLost");
}

#[test]
fn unknown_attributes_fail_no_listing() {
    let mut service = service_entry();
    // A new attribute on the first level, and one in the service behind the others.
    service.extend([8, 0, 99, 0, 1, 2, 3, 4]);
    let nested = u16::from_le_bytes([service[4], service[5]]);
    let end = 4 + usize::from(nested);
    service.splice(end..end, [6, 0, 77, 0, 9, 9, 0, 0]);
    service[4..6].copy_from_slice(&(nested + 8).to_le_bytes());
    let plain = service_entry();
    let (fake, _) = Fake::new(move |requests| {
        listing(requests[0].sequence, &[plain.clone(), service.clone()], 0)
    });
    let services = Client::with_family(fake, FAMILY).services().expect("listed");
    assert_eq!(services[0], services[1]);
}

#[test]
fn a_malformed_entry_is_an_error_and_leaves_nothing_behind() {
    let mut broken = service_entry();
    broken.truncate(4 + 4 + 8);
    broken[4..6].copy_from_slice(&12u16.to_le_bytes());
    let mut times = 0;
    let (fake, _) = Fake::new(move |requests| {
        times += 1;
        let first = if times == 1 { broken.clone() } else { service_entry() };
        listing(requests[0].sequence, &[first, service_entry()], 0)
    });
    let mut client = Client::with_family(fake, FAMILY);
    let error = client.services().expect_err("malformed");
    assert_eq!(
        error.to_string(),
        "list the services: malformed answer: attribute service PROTOCOL is missing"
    );
    assert_eq!(client.services().expect("listed").len(), 2);
}

#[test]
fn a_destination_without_a_family_has_its_services() {
    let with = destination_entry();
    // Attribute 11, two bytes of value: ADDR_FAMILY.
    let at = with.windows(4).position(|w| w == [6, 0, 11, 0]).expect("ADDR_FAMILY");
    let mut without = with.clone();
    without[at + 2] = 99;
    for (key, same) in [
        (ServiceKey::tcp([192, 168, 0, 10], 80), true),
        (ServiceKey::tcp([0x2001u16, 0xdb8, 0, 0, 0, 0, 0, 1], 80), false),
    ] {
        let (with, without) = (with.clone(), without.clone());
        let (fake, _) = Fake::new(move |requests| {
            listing(requests[0].sequence, &[with.clone(), without.clone()], 0)
        });
        let read = Client::with_family(fake, FAMILY).destinations(&key).expect("listed");
        assert_eq!(read[0] == read[1], same, "{key}");
    }
}

#[test]
fn a_missing_family_is_a_kernel_without_ipvs() {
    let (fake, _) = Fake::new(|requests| vec![ack(requests[0].sequence, 2)]);
    let error = Client::connect(fake).map(drop).expect_err("no family");
    assert!(matches!(error, Error::NoIpvs));
    assert_eq!(error.reason(), "NoIPVS");
    assert!(error.to_string().contains("ip_vs"));
}

#[test]
fn a_family_answer_with_unknown_attributes_is_understood() {
    let (fake, sent) = Fake::new(|requests| match requests {
        [lookup] if lookup.command == 3 => {
            let payload = [1, 2, 0, 0, 8, 0, 250, 0, 1, 1, 1, 1, 6, 0, 1, 0, FAMILY as u8, 0, 0, 0];
            vec![Step::Datagram(frame(16, 0, lookup.sequence, &payload))]
        }
        others => fake::all(others),
    });
    let mut client = Client::connect(fake).expect("found");
    client.execute(lvs_ipvs::Operation::ZeroAll).expect("done");
    assert_eq!(client.requests(), 2);
    assert_eq!(sent.borrow().len(), 2);
}
