use netlink_packet_core::NLMSG_ERROR;

use super::*;

fn ack(sequence: u32) -> Frame<'static> {
    Frame { sequence, flags: 0, kind: NLMSG_ERROR, payload: &[0; 20] }
}

fn done(ledger: Ledger) -> Vec<bool> {
    ledger.into_answers().into_iter().map(|answer| answer.is_some()).collect()
}

#[test]
fn sequence_numbers_wrap() {
    let mut ledger = Ledger::new(u32::MAX, 3);
    assert!(!ledger.enter(&ack(1)));
    assert!(!ledger.enter(&ack(u32::MAX)));
    assert!(!ledger.enter(&ack(2)));
    assert!(ledger.enter(&ack(0)));
    assert_eq!(done(ledger), [true; 3]);
}

#[test]
fn numbers_outside_the_datagram_are_stale() {
    let mut ledger = Ledger::new(10, 2);
    for sequence in [0, 9, 12, u32::MAX] {
        assert!(!ledger.enter(&ack(sequence)));
    }
    assert_eq!(done(ledger), [false; 2]);
}

#[test]
fn content_and_the_end_of_a_listing_acknowledge_nothing() {
    let mut ledger = Ledger::new(1, 1);
    for kind in [netlink_packet_core::NLMSG_DONE, netlink_packet_core::NLMSG_NOOP, 31] {
        assert!(!ledger.enter(&Frame { kind, ..ack(1) }));
    }
    assert_eq!(done(ledger), [false]);
}
