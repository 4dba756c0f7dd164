use super::*;
use proptest::prelude::*;

const HEAD: &str = "IP Virtual Server version 1.2.1 (size=4096)\n\
    Prot LocalAddress:Port Scheduler Flags\n  \
    -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";

fn key(protocol: Protocol, address: &str, port: u16) -> ServiceKey {
    ServiceKey::new(protocol, address.parse::<IpAddr>().unwrap(), port)
}

fn server(address: &str, port: u16, forwarding: Forwarding, weight: u32) -> Destination {
    Destination::new(
        DestinationKey::new(address.parse::<IpAddr>().unwrap(), port),
        forwarding,
        weight,
    )
}

#[test]
fn both_families_and_all_forwarding_methods_are_read() {
    let text = format!(
        "{HEAD}TCP  C0A8000A:0050 wrr persistent 300 FFFFFFFF\n  \
         -> C0A80065:0050      Route   5      0          0         \n  \
         -> DE759B7B:0050      Local   10     0          0         \n\
         UDP  C0A8000A:0035 rr ops \n  \
         -> 0A000065:1F90      Masq    0      0          0         \n\
         TCP  [2001:0db8:0000:0000:0000:0000:0000:000a]:01BB wlc \n  \
         -> [2001:0db8:0000:0000:0000:0000:0000:0065]:01BB      Tunnel  70000  1          2         \n  \
         -> C0A80065:01BB      Tunnel  1      0          0         \n\
         SCTP C0A8000A:0050 rr \n\
         FWM  00000007 rr \n  \
         -> C0A80065:0000      Route   1      0          0         \n"
    );
    let table = parse(&text);
    assert!(table.doubtful.is_empty());
    let expected = [
        (
            key(Protocol::Tcp, "192.168.0.10", 80),
            vec![
                server("192.168.0.101", 80, Forwarding::DirectRoute, 5),
                server("222.117.155.123", 80, Forwarding::LocalNode, 10),
            ],
        ),
        (
            key(Protocol::Udp, "192.168.0.10", 53),
            vec![server("10.0.0.101", 8080, Forwarding::Masquerade, 0)],
        ),
        (
            key(Protocol::Tcp, "2001:db8::a", 443),
            vec![
                server("2001:db8::65", 443, Forwarding::Tunnel, 70000),
                server("192.168.0.101", 443, Forwarding::Tunnel, 1),
            ],
        ),
        (key(Protocol::Sctp, "192.168.0.10", 80), vec![]),
    ];
    assert_eq!(table.destinations, expected.into());
}

#[test]
fn a_service_with_a_strange_line_is_doubtful_and_no_other() {
    let text = "TCP  C0A8000A:0050 rr \n  -> C0A80065:0050      Beamed  1      0          0\n\
                TCP  C0A8000A:0051 rr \n  -> C0A80065:0051      Route   1      0          0\n";
    let table = parse(text);
    assert_eq!(table.doubtful, [key(Protocol::Tcp, "192.168.0.10", 80)].into());
    assert_eq!(table.destinations[&key(Protocol::Tcp, "192.168.0.10", 81)].len(), 1);
}

#[test]
fn connections_of_all_destinations_are_counted_whatever_they_belong_to() {
    let text = "IP Virtual Server version 1.2.1 (size=4096)\n\
                Prot LocalAddress:Port Scheduler Flags\n  \
                -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
                TCP  C0A8000A:0050 rr \n  \
                -> C0A80065:0050      Route   1      3000000000 7         \n\
                FWM  00000007 rr \n  \
                -> C0A80065:0000      Route   1      40         500       \n  \
                -> C0A80066:0000      Beamed  1      2          -1        \n";
    assert_eq!(parse(text).connections, 3_000_000_549);
}

#[test]
fn a_service_that_stands_twice_is_doubtful() {
    let table = parse("TCP  C0A8000A:0050 rr \nTCP  C0A8000A:0050 rr \n");
    assert_eq!(table.doubtful.len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}") {
        parse(&text);
    }

    #[test]
    fn text_like_the_kernels_is_read_without_a_panic(
        text in "((TCP|UDP|FWM|IP_[0-9]{0,6})  [\\[\\]0-9A-F:]{0,20} rr|  -> [\\[\\]0-9A-F:]{0,20} (Route|Masq)? -?[0-9]{0,12}\n){0,8}"
    ) {
        parse(&text);
    }
}
