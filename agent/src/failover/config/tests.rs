use super::*;
use crate::failover::links::Link;

fn member(name: &str, addresses: &[&str]) -> Member {
    let addresses = addresses.iter().map(|it| (*it).to_owned()).collect();
    Member {
        node: name.to_owned(),
        addresses,
        macs: vec!["02:00:00:00:00:0a".to_owned()],
        mtu: None,
    }
}

fn address(interface: &str, address: &str) -> HeldAddress {
    HeldAddress { interface: interface.to_owned(), address: address.parse().unwrap() }
}

fn want() -> Want {
    let order = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    let router = |names: &[&str], held: &HeldAddress| WantedRouter {
        name: names.concat(),
        order: order(names),
        addresses: [held.clone()].into(),
        ill: None,
    };
    Want {
        own: "a".to_owned(),
        members: vec![
            member("a", &["fd00::1", "10.0.0.1"]),
            member("b", &["10.0.0.2", "fd00::2"]),
            member("c", &["fd00::3", "10.0.0.3"]),
        ],
        interval: Duration::from_millis(90),
        preempt: None,
        multicast: false,
        interface: None,
        presence: 3,
        routers: BTreeMap::from([
            (1, router(&["a", "b", "c"], &address("eth0", "10.0.0.10/24"))),
            (2, router(&["b", "c", "a"], &address("eth1", "192.168.0.10/24"))),
        ]),
    }
}

struct Machine {
    links: Links,
    own: BTreeMap<IpAddr, String>,
    failed: BTreeMap<HeldAddress, String>,
}

impl Machine {
    fn new() -> Self {
        let link = |index| Link { index, running: true, ups: index + 10, mac: None };
        let own = |text: &str| (text.parse().unwrap(), "eth0".to_owned());
        Self {
            links: [("eth0".to_owned(), link(2)), ("eth1".to_owned(), link(3))].into(),
            own: [own("10.0.0.1"), own("fd00::1"), own("fe80::1")].into(),
            failed: BTreeMap::new(),
        }
    }

    fn plan(&self, want: &Want) -> Result<(Config, Path), Problem> {
        plan(want, Node { links: &self.links, own: &self.own, failed: &self.failed })
    }
}

fn router_of(config: &Config, id: u8) -> &RouterConfig {
    &config.routers[&Vrid::new(id).unwrap()]
}

#[test]
fn ipv4_is_taken_where_all_have_it_and_priorities_follow_the_order() {
    let (config, path) = Machine::new().plan(&want()).unwrap();
    assert_eq!(config.own.to_string(), "10.0.0.1");
    let peers: Vec<_> =
        config.peers.iter().map(|(name, it)| format!("{name} {}", it.address)).collect();
    assert_eq!(peers, ["b 10.0.0.2", "c 10.0.0.3"]);
    assert!(config.peers["b"].macs.contains(&[2, 0, 0, 0, 0, 10]));
    assert_eq!((path.interface, path.near, path.multicast), (0, 2, false));
    assert_eq!(router_of(&config, 1).priority, 254);
    assert_eq!(router_of(&config, 2).priority, 246);
    assert!(config.routers.values().all(|router| router.down.is_none()));
}

#[test]
fn ipv6_is_taken_where_one_has_no_ipv4() {
    let mut want = want();
    want.members[1].addresses.remove(0);
    let (config, path) = Machine::new().plan(&want).unwrap();
    assert_eq!((config.own.to_string(), path.interface), ("fd00::1".to_owned(), 0));
    want.members[0].addresses = vec!["fe80::1".to_owned()];
    let (_, path) = Machine::new().plan(&want).unwrap();
    assert_eq!(path.interface, 2, "a link-local address says nothing without its interface");
    want.members[2].addresses = vec!["10.0.0.3".to_owned(), "what".to_owned()];
    let problem = Machine::new().plan(&want).unwrap_err();
    assert_eq!(problem.reason(), "NoAddress");
    assert!(problem.to_string().contains("a has no IPv4 and c no IPv6 address"), "{problem}");
}

#[test]
fn an_interface_that_is_down_or_gone_takes_its_routers_out_alone() {
    let mut machine = Machine::new();
    machine.links.get_mut("eth1").unwrap().running = false;
    let (config, _) = machine.plan(&want()).unwrap();
    assert_eq!(router_of(&config, 1).down, None);
    assert_eq!(router_of(&config, 2).down.as_deref(), Some("interface eth1 is down"));
    machine.links.remove("eth1");
    let (config, _) = machine.plan(&want()).unwrap();
    assert_eq!(router_of(&config, 2).down.as_deref(), Some("there is no interface eth1"));
    // Without the interface of advertisements nobody is heard.
    machine.links.get_mut("eth0").unwrap().running = false;
    let (config, _) = machine.plan(&want()).unwrap();
    assert!(config.routers.values().all(|router| router.down.is_some()));
}

#[test]
fn each_interface_of_a_router_counts_and_so_does_that_of_advertisements() {
    let mut want = want();
    let addresses = &mut want.routers.get_mut(&1).unwrap().addresses;
    addresses.insert(address("eth1", "192.168.0.11/24"));
    let mut machine = Machine::new();
    machine.links.get_mut("eth1").unwrap().running = false;
    let (config, _) = machine.plan(&want).unwrap();
    assert_eq!(router_of(&config, 1).down.as_deref(), Some("interface eth1 is down"));
    machine.links.get_mut("eth1").unwrap().running = true;
    machine.links.get_mut("eth0").unwrap().running = false;
    let (config, _) = machine.plan(&want).unwrap();
    assert_eq!(router_of(&config, 2).down.as_deref(), Some("interface eth0 is down"));
}

#[test]
fn whoever_is_not_in_the_order_or_cannot_take_part_carries_nothing() {
    let mut want = want();
    want.routers.get_mut(&2).unwrap().order.pop();
    let (config, _) = Machine::new().plan(&want).unwrap();
    assert_eq!(router_of(&config, 1).down, None);
    let outside = router_of(&config, 2).down.as_deref();
    assert_eq!(outside, Some("a is not among those who carry it"));
    let shut = shut_down(&config, &Problem::NoPresence);
    let told = "the virtual router id of presence is 0";
    assert!(shut.routers.values().all(|router| router.down.as_deref() == Some(told)));
}

#[test]
fn multicast_goes_through_one_interface() {
    let mut want = want();
    want.multicast = true;
    assert_eq!(Machine::new().plan(&want).unwrap().1.interface, 2);
    want.interface = Some("eth1".to_owned());
    assert_eq!(Machine::new().plan(&want).unwrap().1.interface, 3);
    want.interface = Some("eth7".to_owned());
    let problem = Machine::new().plan(&want).unwrap_err();
    assert_eq!(problem, Problem::NoInterface("eth7".to_owned()));
}

#[test]
fn a_director_whose_address_is_not_here_takes_no_part() {
    let mut machine = Machine::new();
    machine.own.remove(&"10.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(machine.plan(&want()).unwrap_err().reason(), "NoAddress");
    let mut want = want();
    want.own = "d".to_owned();
    assert_eq!(machine.plan(&want).unwrap_err(), Problem::NoMember("d".to_owned()));
}

#[test]
fn one_that_cannot_serve_or_hold_an_address_comes_after_all_that_can() {
    let mut machine = Machine::new();
    let mut want = want();
    want.routers.get_mut(&1).unwrap().ill = Some("no".to_owned());
    machine.failed.insert(address("eth1", "192.168.0.10/24"), "no".to_owned());
    let (config, _) = machine.plan(&want).unwrap();
    assert_eq!(router_of(&config, 1).priority, 125);
    assert_eq!(router_of(&config, 2).priority, 117);
    assert!(config.routers.values().all(|router| router.priority < config.ill_below));
}

#[test]
fn a_mac_address_is_six_bytes() {
    assert_eq!(mac("02:00:00:00:00:0a"), Some([2, 0, 0, 0, 0, 10]));
    assert_eq!(mac_text([2, 0, 0, 0, 0, 10]), "02:00:00:00:00:0a");
    for text in ["", "02:00:00:00:00", "02:00:00:00:00:0a:0b", "02:00:00:00:00:zz"] {
        assert_eq!(mac(text), None, "{text}");
    }
}
