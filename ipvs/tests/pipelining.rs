//! Many operations in one datagram: every answer reaches its operation, and only its own.

mod fake;

use fake::{ENOBUFS, FAMILY, Fake, Step, ack, all, frame};
use lvs_ipvs::{
    Client, Command, Destination, DestinationKey, Errno, Error, Forwarding, InvalidField,
    Operation, Service, ServiceKey,
};

fn key(port: u16) -> ServiceKey {
    ServiceKey::tcp([192, 168, 0, 10], port)
}

fn deletions(count: u16) -> Vec<Operation> {
    (0..count).map(|port| Operation::DelService(key(port))).collect()
}

fn outcomes(results: &[Result<(), Error>]) -> Vec<&'static str> {
    results.iter().map(|r| r.as_ref().map_or_else(Error::reason, |()| "ok")).collect()
}

#[test]
fn answers_in_any_order_reach_their_operations() {
    let (fake, _) = Fake::new(|requests| {
        let mut answers: Vec<_> = requests
            .iter()
            .enumerate()
            .map(|(at, request)| ack(request.sequence, if at == 1 { 3 } else { 0 }))
            .collect();
        answers.reverse();
        answers
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(4));
    assert_eq!(outcomes(&results), ["ok", "NotFound", "ok", "ok"]);
    let error = results[1].as_ref().expect_err("refused");
    assert_eq!(error.to_string(), "delete service TCP 192.168.0.10:1: No such process (ESRCH)");
}

#[test]
fn an_error_in_the_middle_stops_no_other() {
    let (fake, sent) = Fake::new(|requests| {
        requests.iter().map(|r| ack(r.sequence, if r.sequence == 100 { 22 } else { 0 })).collect()
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(300));
    let refused: Vec<_> =
        outcomes(&results).into_iter().enumerate().filter(|(_, word)| *word != "ok").collect();
    assert_eq!(refused, [(99, "Refused")]);
    assert_eq!(sent.borrow().len(), 3);
}

#[test]
fn a_missing_answer_is_an_error_and_the_rest_is_not_sent() {
    let (fake, sent) = Fake::new(|requests| {
        requests.iter().filter(|r| r.sequence != 5).map(|r| ack(r.sequence, 0)).collect()
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(200));
    let words = outcomes(&results);
    assert_eq!(words[4], "NoReply");
    assert!(results[4].as_ref().expect_err("lost").is_uncertain());
    assert!(words[..4].iter().chain(&words[5..128]).all(|word| *word == "ok"));
    assert!(words[128..].iter().all(|word| *word == "NotSent"));
    assert_eq!(words.len(), 200);
    assert_eq!(sent.borrow().len(), 1);
}

#[test]
fn after_an_overrun_only_the_lost_answers_are_errors() {
    let (fake, sent) = Fake::new(|requests| {
        let mut answers = all(requests);
        if requests[0].sequence == 1 {
            answers.splice(60..70, [Step::Fails(ENOBUFS)]);
        }
        answers
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(200));
    let words = outcomes(&results);
    assert!(words[60..70].iter().all(|word| *word == "AnswerLost"));
    assert!(results[60].as_ref().expect_err("lost").is_uncertain());
    assert!(words[..60].iter().chain(&words[70..]).all(|word| *word == "ok"));
    assert_eq!(sent.borrow().len(), 2, "the second datagram is sent all the same");
}

#[test]
fn a_truncated_answer_is_an_error_of_its_operation() {
    let (fake, _) = Fake::new(|requests| {
        let mut answers = all(requests);
        if let Step::Datagram(bytes) = &mut answers[1] {
            bytes.truncate(30);
        }
        answers
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(3));
    assert_eq!(outcomes(&results), ["ok", "MalformedAnswer", "ok"]);
}

#[test]
fn an_answer_without_a_code_is_an_error_of_its_operation() {
    let (fake, _) = Fake::new(|requests| {
        requests
            .iter()
            .map(|r| match r.sequence {
                2 => Step::Datagram(frame(2, 0, 2, &[0, 0])),
                other => ack(other, 0),
            })
            .collect()
    });
    let results = Client::with_family(fake, FAMILY).apply(&deletions(3));
    assert_eq!(outcomes(&results), ["ok", "MalformedAnswer", "ok"]);
}

#[test]
fn answers_to_earlier_requests_are_ignored() {
    let mut late = Vec::new();
    let (fake, _) = Fake::new(move |requests| {
        let mut answers = std::mem::take(&mut late);
        answers.extend(all(requests));
        if requests[0].sequence == 1 {
            // The second answer comes too late.
            late.push(ack(2, 1));
            answers.remove(1);
        }
        answers
    });
    let mut client = Client::with_family(fake, FAMILY);
    assert_eq!(outcomes(&client.apply(&deletions(2))), ["ok", "NoReply"]);
    assert_eq!(outcomes(&client.apply(&deletions(2))), ["ok", "ok"]);
}

#[test]
fn a_second_answer_to_one_request_does_not_stand_for_another() {
    let (fake, _) = Fake::new(|requests| [0, 0, 1].map(|at| ack(requests[at].sequence, 0)).into());
    let mut client = Client::with_family(fake, FAMILY);
    assert_eq!(outcomes(&client.apply(&deletions(2))), ["ok", "ok"]);
    assert_eq!(outcomes(&client.apply(&deletions(3))), ["ok", "ok", "NoReply"]);
}

#[test]
fn endless_strange_answers_end_as_no_answer() {
    struct Endless;
    impl lvs_ipvs::Transport for Endless {
        fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }
        fn recv(&mut self, into: &mut Vec<u8>, _: bool) -> std::io::Result<()> {
            into.clear();
            into.extend(frame(2, 0, 77, &[0; 20]));
            Ok(())
        }
    }
    let mut client = Client::with_family(Endless, FAMILY);
    assert_eq!(outcomes(&client.apply(&deletions(1))), ["NoReply"]);
    assert_eq!(client.services().expect_err("nothing").reason(), "NoReply");
}

#[test]
fn many_operations_take_few_datagrams_of_bounded_size() {
    let (fake, sent) = Fake::new(all);
    let operations: Vec<_> = (0..1000)
        .map(|last| Operation::NewDestination {
            service: key(80),
            destination: Destination::new(
                DestinationKey::new([10, 0, (last >> 8) as u8, last as u8], 80),
                Forwarding::Masquerade,
                1,
            ),
        })
        .collect();
    let mut client = Client::with_family(fake, FAMILY);
    assert!(client.apply(&operations).iter().all(Result::is_ok));
    assert_eq!(client.requests(), 1000);
    assert_eq!(client.requests_with(Command::NewDestination), 1000);
    assert_eq!(client.requests_with(Command::SetDestination), 0);
    let sent = sent.borrow();
    assert_eq!(sent.len(), 8);
    for datagram in sent.iter() {
        assert!(datagram.len() <= 128);
        assert!(datagram.iter().map(|request| request.bytes).sum::<usize>() <= 33 * 1024);
        assert!(datagram.iter().all(|request| request.flags == 5), "REQUEST and ACK");
    }
    let sequences: Vec<_> = sent.iter().flatten().map(|request| request.sequence).collect();
    assert_eq!(sequences, (1..=1000).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_encoded_is_not_sent_and_shifts_no_other_result() {
    let (fake, _) = Fake::new(|requests| {
        requests.iter().zip([0, 3]).map(|(r, errno)| ack(r.sequence, errno)).collect()
    });
    let too_long = Operation::NewService(Service::new(key(1), "a-name-of-16-byt"));
    let mut operations = deletions(2);
    operations.insert(0, too_long.clone());
    operations.insert(2, too_long);
    let mut client = Client::with_family(fake, FAMILY);
    let results = client.apply(&operations);
    assert_eq!(outcomes(&results), ["Invalid", "ok", "Invalid", "NotFound"]);
    assert!(matches!(results[0], Err(Error::Invalid { problem: InvalidField::Scheduler, .. })));
    assert_eq!(client.requests(), 2);
    let nothing = client.apply(&operations[..1]);
    assert_eq!(outcomes(&nothing), ["Invalid"]);
    assert_eq!(client.requests(), 2);
    assert!(client.apply(&[]).is_empty());
}

#[test]
fn a_failing_socket_fails_all_and_is_named() {
    struct Broken;
    impl lvs_ipvs::Transport for Broken {
        fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
            Err(std::io::Error::from_raw_os_error(111))
        }
        fn recv(&mut self, _: &mut Vec<u8>, _: bool) -> std::io::Result<()> {
            panic!("nothing was sent")
        }
    }
    let mut client = Client::with_family(Broken, FAMILY);
    let results = client.apply(&deletions(130));
    let words = outcomes(&results);
    assert!(words[..128].iter().all(|word| *word == "SocketFailed"));
    assert_eq!(words[128..], ["NotSent", "NotSent"]);
    assert_eq!(results[0].as_ref().expect_err("failed").errno(), Some(Errno(111)));
}

#[test]
fn the_kernels_own_words_are_told() {
    for capped in [true, false] {
        let (fake, _) = Fake::new(move |requests| {
            let mut payload = (-22i32).to_ne_bytes().to_vec();
            // The request's header, and behind it the request unless capped.
            payload.extend(24u32.to_ne_bytes());
            payload.resize(if capped { 20 } else { 28 }, 0);
            payload.extend(12u16.to_ne_bytes());
            payload.extend(1u16.to_ne_bytes());
            payload.extend(b"bad mtu\0");
            let flags = if capped { 0x300 } else { 0x200 };
            vec![Step::Datagram(frame(2, flags, requests[0].sequence, &payload))]
        });
        let error =
            Client::with_family(fake, FAMILY).execute(Operation::ZeroAll).expect_err("refused");
        assert_eq!(
            error.to_string(),
            "zero all counters: Invalid argument (EINVAL); the kernel says: bad mtu"
        );
    }
}
