use super::*;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::route::{RouteNextHop, RouteProtocol};

fn link(index: u32, name: &str, flags: LinkFlags) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = flags;
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link
}

fn links() -> Vec<LinkMessage> {
    vec![
        link(1, "lo", LinkFlags::Up | LinkFlags::Loopback),
        link(2, "eth0", LinkFlags::Up | LinkFlags::Running),
        link(3, "eth1", LinkFlags::empty()),
    ]
}

fn address(index: u32, prefix: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.attributes = attributes;
    message
}

fn v4(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn to(destination: &str, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let destination: IpNet = destination.parse().unwrap();
    let mut message = RouteMessage::default();
    message.header.address_family = match destination {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = destination.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.kind = RouteType::Unicast;
    message.header.protocol = RouteProtocol::Kernel;
    if destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(destination.addr().into()));
    }
    message.attributes.extend(attributes);
    message
}

#[test]
fn interfaces_have_the_addresses_that_the_agent_did_not_make() {
    let vip = v4("192.168.0.10");
    let addresses = [
        address(2, 24, vec![AddressAttribute::Local(v4("192.168.0.1"))]),
        address(2, 24, vec![AddressAttribute::Local(vip), AddressAttribute::Address(vip)]),
        // A point-to-point link: the other end's address comes with it.
        address(
            3,
            32,
            vec![
                AddressAttribute::Address(v4("10.9.9.2")),
                AddressAttribute::Local(v4("10.9.9.1")),
            ],
        ),
        address(2, 64, vec![AddressAttribute::Address(v4("2001:db8::1"))]),
        address(9, 24, vec![AddressAttribute::Local(v4("10.1.1.1"))]),
    ];
    let held =
        HeldAddress { interface: "eth0".into(), address: "192.168.0.10/24".parse().unwrap() };
    let facts = facts(&links(), &addresses, &[], &[Made::Address(held)].into());
    let shown = |name: &str| {
        let addresses = &facts.interfaces[name].addresses;
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown("eth0"), ["192.168.0.1/24", "2001:db8::1/64"]);
    assert_eq!(shown("eth1"), ["10.9.9.1/32"]);
    let flags = |name: &str| (facts.interfaces[name].up, facts.interfaces[name].loopback);
    assert_eq!(
        [flags("lo"), flags("eth0"), flags("eth1")],
        [(true, true), (true, false), (false, false)]
    );
}

#[test]
fn interfaces_have_their_ethernet_address_and_say_whether_they_multicast() {
    let mut links = vec![
        link(1, "lo", LinkFlags::Up | LinkFlags::Loopback),
        link(2, "eth0", LinkFlags::Up | LinkFlags::Multicast),
        link(3, "ipip1", LinkFlags::Up),
    ];
    for (link, address) in links.iter_mut().zip([&[0; 6][..], &[2, 0, 0, 0, 0, 1], &[10, 0, 0, 1]])
    {
        link.attributes.push(LinkAttribute::Address(address.to_vec()));
    }
    let facts = facts(&links, &[], &[], &Ours::new());
    let shown = |name: &str| (facts.interfaces[name].mac, facts.interfaces[name].multicast);
    assert_eq!(shown("lo"), (None, false));
    assert_eq!(shown("eth0"), (Some(Mac([2, 0, 0, 0, 0, 1])), true));
    assert_eq!(shown("ipip1"), (None, false));
}

#[test]
fn routes_are_those_of_the_main_table_most_specific_first() {
    let gateway = |text: &str| RouteAttribute::Gateway(v4(text).into());
    let mut local = to("192.168.0.1/32", vec![RouteAttribute::Oif(2)]);
    local.header.table = 255;
    local.header.kind = RouteType::Local;
    let mut blackhole = to("10.0.0.0/8", vec![]);
    blackhole.header.kind = RouteType::BlackHole;
    let mut other_table = to("10.1.0.0/16", vec![RouteAttribute::Oif(2)]);
    other_table.header.table = RouteHeader::RT_TABLE_UNSPEC;
    other_table.attributes.push(RouteAttribute::Table(1000));
    let mut hop = RouteNextHop::default();
    hop.interface_index = 3;
    hop.attributes.push(gateway("10.2.0.1"));
    let default = |metric, address: &str| {
        let attributes =
            vec![RouteAttribute::Oif(2), RouteAttribute::Priority(metric), gateway(address)];
        to("0.0.0.0/0", attributes)
    };
    let routes = [
        default(200, "192.168.0.253"),
        default(100, "192.168.0.254"),
        to("192.168.0.0/24", vec![RouteAttribute::Oif(2)]),
        to("10.2.0.0/16", vec![RouteAttribute::MultiPath(vec![hop])]),
        to("2001:db8::/64", vec![RouteAttribute::Oif(2), RouteAttribute::Priority(256)]),
        local,
        blackhole,
        other_table,
    ];
    let facts = facts(&links(), &[], &routes, &Ours::new());
    let shown: Vec<_> = facts
        .routes
        .iter()
        .map(|route| {
            let gateway = route.gateway.map_or("-".into(), |gateway| gateway.to_string());
            format!("{} {gateway} {} {}", route.destination, route.interface, route.metric)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "2001:db8::/64 - eth0 256",
            "192.168.0.0/24 - eth0 0",
            "10.2.0.0/16 10.2.0.1 eth1 0",
            "0.0.0.0/0 192.168.0.254 eth0 100",
            "0.0.0.0/0 192.168.0.253 eth0 200",
        ]
    );
}

#[test]
fn a_route_that_only_our_address_brought_is_no_fact() {
    let held = |text: &str| {
        Made::Address(HeldAddress { interface: "eth0".into(), address: text.parse().unwrap() })
    };
    let ours = Ours::from([held("192.168.0.10/24"), held("10.0.0.234/24")]);
    let own = address(2, 24, vec![AddressAttribute::Local(v4("10.0.0.1"))]);
    let mut beyond = to("192.168.0.0/24", vec![RouteAttribute::Oif(2)]);
    beyond.attributes.push(RouteAttribute::Gateway(v4("10.0.0.9").into()));
    let routes = [
        to("192.168.0.0/24", vec![RouteAttribute::Oif(2)]),
        to("192.168.0.0/24", vec![RouteAttribute::Oif(3)]),
        to("10.0.0.0/24", vec![RouteAttribute::Oif(2)]),
        beyond,
    ];
    let facts = facts(&links(), &[own], &routes, &ours);
    let shown: Vec<_> = facts
        .routes
        .iter()
        .map(|route| (route.destination.to_string(), route.interface.as_str(), route.gateway))
        .collect();
    assert_eq!(
        shown,
        [
            ("192.168.0.0/24".to_owned(), "eth1", None),
            ("10.0.0.0/24".to_owned(), "eth0", None),
            ("192.168.0.0/24".to_owned(), "eth0", Some(v4("10.0.0.9"))),
        ]
    );
}
