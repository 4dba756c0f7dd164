use super::*;
use crate::journal::Identity;
use crate::kernel::fake::Fake;
use crate::state::{Facts, FixtureKind, HeldAddress, Interface, Made, Packets, TunnelDevice};
use lvs_ipvs::{Protocol, Service, ServiceKey};
use tempfile::TempDir;

const ARP_IGNORE: &str = "net/ipv4/conf/all/arp_ignore";
const IP_FORWARD: &str = "net/ipv4/ip_forward";

fn node() -> Fake {
    let mut facts = Facts::default();
    let addresses = vec!["192.168.0.1/24".parse().unwrap()];
    let eth0 = Interface { index: 2, up: true, mtu: 1500, addresses, ..Interface::default() };
    facts.interfaces.insert("eth0".into(), eth0);
    Fake::new(facts)
}

fn open(dir: &TempDir) -> Journal {
    let identity = Identity { boot: "boot".into(), netns: "1:1".into() };
    Journal::open_as(dir.path(), &identity).unwrap()
}

fn vip(interface: &str) -> HeldAddress {
    HeldAddress { interface: interface.into(), address: "192.168.0.10/32".parse().unwrap() }
}

/// A node on which an agent has been at work.
fn used(dir: &TempDir) -> Fake {
    let mut fake = node();
    let key = ServiceKey::tcp([192, 168, 0, 10], 80);
    let ops = [
        Op::SetSysctl { path: ARP_IGNORE.into(), value: "1".into() },
        Op::SetSysctl { path: IP_FORWARD.into(), value: "1".into() },
        Op::Ipvs(Operation::NewService(Service::new(key, "wlc"))),
        Op::AddAddress(vip("lo")),
    ];
    let results = fake.execute(&ops, &mut open(dir));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    fake
}

fn clean(fake: &mut Fake, dir: &TempDir) -> (Cleaned, String) {
    let mut out = Vec::new();
    let cleaned = cleanup(fake, &mut open(dir), &mut out).unwrap();
    (cleaned, String::from_utf8(out).unwrap())
}

#[test]
fn everything_is_given_back_and_told_and_a_second_time_does_nothing() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!(cleaned, Cleaned { done: 4, failed: 0 });
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "address 192.168.0.10/32 on lo: removed",
            "service TCP 192.168.0.10:80: removed",
            "sysctl net/ipv4/conf/all/arp_ignore: back to 0",
            "sysctl net/ipv4/ip_forward: left at 1, and was 0 before: containers, VPNs and routes of this machine may rely on it \
             by now, and the kernel would turn it off for every interface; where nothing does: sysctl -w \
             net.ipv4.ip_forward=0",
        ]
    );
    let mut new = node();
    new.sysctls.insert(IP_FORWARD.into(), "1".into());
    assert_eq!(fake.services, new.services);
    assert_eq!(fake.addresses, new.addresses);
    assert_eq!(fake.sysctls, new.sysctls);
    assert!(open(&dir).ours().is_empty());
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!((cleaned, told.as_str()), (Cleaned::default(), "nothing to give back\n"));
}

#[test]
fn what_cannot_be_given_back_stays_in_the_journal_and_the_rest_is_done() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.read_only.insert(ARP_IGNORE.into());
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!(cleaned, Cleaned { done: 3, failed: 1 });
    assert!(told.contains("sysctl net/ipv4/conf/all/arp_ignore: FAILED"), "{told}");
    assert!(told.ends_with("1 of 4 could not be given back\n"), "{told}");
    assert_eq!(open(&dir).ours(), &[Made::Sysctl(ARP_IGNORE.into())].into());
    fake.read_only.clear();
    assert_eq!(clean(&mut fake, &dir).0, Cleaned { done: 1, failed: 0 });
    assert_eq!(fake.sysctls[ARP_IGNORE], "0");
}

#[test]
fn arp_stays_silent_while_another_load_balancers_vip_stands_aside() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    let other = HeldAddress { address: "192.168.0.99/32".parse().unwrap(), ..vip("lo") };
    fake.addresses.push(other.clone());
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!(cleaned.failed, 0);
    assert!(told.contains("arp_ignore: left at 1, and was 0 before: 192.168.0.99/32"), "{told}");
    assert_eq!(fake.sysctls[ARP_IGNORE], "1");
    // Loopback's own, and what stands in a network, need no silence.
    for harmless in [("lo", "127.0.0.1/8"), ("eth0", "192.168.0.98/32"), ("lo", "2001:db8::9/128")]
    {
        let dir = TempDir::new().unwrap();
        let mut fake = used(&dir);
        let (interface, address) = (harmless.0.to_owned(), harmless.1.parse().unwrap());
        fake.addresses.push(HeldAddress { interface, address });
        clean(&mut fake, &dir);
        assert_eq!(fake.sysctls[ARP_IGNORE], "0", "{harmless:?}");
    }
}

#[test]
fn connections_stay_tracked_while_somebody_elses_service_stands() {
    const CONNTRACK: &str = "net/ipv4/vs/conntrack";
    for others in [false, true] {
        let dir = TempDir::new().unwrap();
        let mut fake = used(&dir);
        fake.sysctls.insert(CONNTRACK.into(), "0".into());
        let set = Op::SetSysctl { path: CONNTRACK.into(), value: "1".into() };
        assert!(fake.execute(&[set], &mut open(&dir))[0].is_ok());
        if others {
            let theirs = Service::new(ServiceKey::tcp([10, 96, 0, 1], 443), "rr");
            let state = crate::state::ServiceState::found(theirs.clone(), []);
            fake.services.as_mut().unwrap().insert(theirs.key, state);
        }
        let (_, told) = clean(&mut fake, &dir);
        assert_eq!(fake.sysctls[CONNTRACK], if others { "1" } else { "0" }, "{told}");
        assert_eq!(told.contains("10.96.0.1:443"), others, "{told}");
    }
}

#[test]
fn a_sysctl_that_somebody_changed_since_is_left_and_told() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.sysctls.insert(ARP_IGNORE.into(), "2".into());
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!(cleaned.failed, 0);
    assert!(told.contains("arp_ignore: left at 2: somebody has changed it since"), "{told}");
    assert_eq!(fake.sysctls[ARP_IGNORE], "2");
}

#[test]
fn without_ipvs_its_services_have_gone() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.services = None;
    assert_eq!(clean(&mut fake, &dir).0, Cleaned { done: 4, failed: 0 });
    assert!(open(&dir).ours().is_empty());
}

#[test]
fn what_others_have_removed_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.services = Some(std::collections::BTreeMap::new());
    fake.addresses.clear();
    assert_eq!(clean(&mut fake, &dir).0, Cleaned { done: 4, failed: 0 });
}

fn fixtures() -> [Fixture; 4] {
    let packets = Packets {
        destination: "192.168.0.10/32".parse().unwrap(),
        protocol: Protocol::Tcp,
        first_port: 80,
        last_port: 90,
    };
    [
        Fixture::Tunnel { device: TunnelDevice::Sit, local: [10, 0, 0, 1].into() },
        Fixture::Mark { packets, mark: 7.try_into().unwrap() },
        Fixture::Masquerade { packets },
        Fixture::LocalDelivery { packets },
    ]
}

#[test]
fn fixtures_go_back_around_the_services_that_need_them() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.execute(&fixtures().map(Op::AddFixture), &mut open(&dir));
    let (cleaned, told) = clean(&mut fake, &dir);
    assert_eq!(cleaned, Cleaned { done: 8, failed: 0 });
    let lines: Vec<_> = told.lines().take(6).collect();
    assert_eq!(
        lines,
        [
            "local delivery of packets to 192.168.0.10/32 TCP/80-90: removed",
            "address 192.168.0.10/32 on lo: removed",
            "mark 7 on packets to 192.168.0.10/32 TCP/80-90: removed",
            "service TCP 192.168.0.10:80: removed",
            "sit tunnel at 10.0.0.1: removed",
            "masquerading of packets to 192.168.0.10/32 TCP/80-90: removed",
        ]
    );
    assert!(fake.fixtures.is_empty() && open(&dir).ours().is_empty());
}

#[test]
fn without_nftables_what_stood_in_it_has_gone() {
    let dir = TempDir::new().unwrap();
    let mut fake = used(&dir);
    fake.execute(&fixtures().map(Op::AddFixture), &mut open(&dir));
    fake.lacking.insert(FixtureKind::Nftables);
    assert_eq!(clean(&mut fake, &dir).0, Cleaned { done: 8, failed: 0 });
    assert!(open(&dir).ours().is_empty());
}
