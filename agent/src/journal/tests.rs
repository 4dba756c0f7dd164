use super::*;
use crate::state::{InterfaceName, Packets, SyncDaemon, SyncRole, TunnelDevice};
use lvs_ipvs::{Family, Protocol};
use proptest::prelude::*;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use tempfile::TempDir;

fn identity(boot: &str) -> Identity {
    Identity { boot: boot.into(), netns: "4:4026531840".into() }
}

fn open(dir: &TempDir) -> Journal {
    Journal::open_as(dir.path(), &identity("one")).unwrap()
}

fn service(port: u16) -> Made {
    Made::Service(ServiceKey::tcp([10, 0, 0, 1], port))
}

fn entry(made: &Made) -> Entry {
    match made {
        Made::Service(key) => Entry::Service(*key),
        Made::Address(address) => Entry::Address(address.clone()),
        Made::Sysctl(path) => sysctl(path, "0", "1"),
        Made::Fixture(fixture) => Entry::Fixture(*fixture),
    }
}

fn sysctl(path: &str, previous: &str, given: &str) -> Entry {
    let change = Change { previous: previous.into(), given: given.into() };
    Entry::Sysctl { path: path.into(), change }
}

fn one_of_each() -> Vec<Made> {
    let mark = NonZeroU32::new(7).unwrap();
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    vec![
        service(80),
        Made::Service(ServiceKey::new(Protocol::Other(50), six, 0)),
        Made::Service(ServiceKey::mark(Family::V4, mark)),
        Made::Service(ServiceKey::mark(Family::V6, mark)),
        Made::Address(HeldAddress {
            interface: "eth0.100".into(),
            address: "192.168.0.10/24".parse().unwrap(),
        }),
        Made::Address(HeldAddress {
            interface: "lo".into(),
            address: "2001:db8::10/128".parse().unwrap(),
        }),
        Made::Sysctl("net/ipv4/ip_forward".into()),
    ]
}

#[test]
fn what_was_recorded_and_not_forgotten_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let all = one_of_each();
    let mut journal = open(&dir);
    journal.record(&all.iter().map(entry).collect::<Vec<_>>()).unwrap();
    journal.forget(&all[..1]).unwrap();
    drop(journal);
    let journal = open(&dir);
    assert_eq!(journal.ours(), &all[1..].iter().cloned().collect());
    let change = journal.change("net/ipv4/ip_forward").unwrap();
    assert_eq!((change.previous.as_str(), change.given.as_str()), ("0", "1"));
    assert_eq!(journal.previous("net/ipv4/conf/all/arp_ignore"), None);
    assert!(journal.problems().is_empty());
}

#[test]
fn a_sysctl_keeps_the_value_from_before_the_first_change() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(&[sysctl("p", "0", "1")]).unwrap();
    journal.record(&[sysctl("p", "1", "2")]).unwrap();
    drop(journal);
    let journal = open(&dir);
    let change = journal.change("p").unwrap();
    assert_eq!((change.previous.as_str(), change.given.as_str()), ("0", "2"));
}

#[test]
fn a_second_agent_is_refused_while_the_first_has_the_directory() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let error = Journal::open_as(dir.path(), &identity("one")).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }));
    assert!(error.to_string().contains("--state-dir"), "{error}");
    drop(first);
    open(&dir);
}

#[test]
fn after_a_reboot_nothing_is_ours() {
    let dir = TempDir::new().unwrap();
    open(&dir).record(&[entry(&service(80)), sysctl("p", "0", "1")]).unwrap();
    let mut journal = Journal::open_as(dir.path(), &identity("two")).unwrap();
    assert!(journal.ours().is_empty() && journal.change("p").is_none());
    assert!(journal.problems().is_empty());
    journal.record(&[entry(&service(81))]).unwrap();
    drop(journal);
    let journal = Journal::open_as(dir.path(), &identity("two")).unwrap();
    assert_eq!(journal.ours(), &[service(81)].into());
}

#[test]
fn in_another_network_namespace_nothing_is_ours() {
    let dir = TempDir::new().unwrap();
    open(&dir).record(&[entry(&service(80))]).unwrap();
    let other = Identity { netns: "4:1".into(), ..identity("one") };
    assert!(Journal::open_as(dir.path(), &other).unwrap().ours().is_empty());
}

#[test]
fn this_process_knows_its_boot_and_namespace() {
    let identity = Identity::read().unwrap();
    assert_eq!(identity.boot.len(), 36, "{identity:?}");
    assert_eq!(identity, Identity::read().unwrap());
}

#[test]
fn a_damaged_line_is_named_and_the_rest_is_kept() {
    let dir = TempDir::new().unwrap();
    open(&dir).record(&one_of_each().iter().map(entry).collect::<Vec<_>>()).unwrap();
    let path = dir.path().join("journal");
    let text = fs::read_to_string(&path).unwrap();
    let damaged: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(number, line)| if number == 3 { "{\"add\":\u{1}#" } else { line })
        .collect();
    fs::write(&path, damaged.join("\n") + "\n").unwrap();
    let journal = open(&dir);
    assert_eq!(journal.ours().len(), one_of_each().len() - 1);
    assert_eq!(journal.problems().len(), 1);
    assert!(journal.problems()[0].starts_with("line 4: "), "{:?}", journal.problems());
    assert!(dir.path().join("journal.damaged").exists());
    drop(journal);
    assert!(open(&dir).problems().is_empty(), "told once");
}

#[test]
fn without_its_header_a_journal_is_void_and_says_so() {
    let dir = TempDir::new().unwrap();
    open(&dir).record(&[entry(&service(80))]).unwrap();
    let path = dir.path().join("journal");
    let text = fs::read_to_string(&path).unwrap();
    for bad in ["", "garbage\n"] {
        let rest = text.split_once('\n').unwrap().1;
        fs::write(&path, format!("{bad}{rest}")).unwrap();
        let journal = open(&dir);
        assert!(journal.ours().is_empty());
        assert!(journal.problems()[0].contains("void"), "{:?}", journal.problems());
    }
}

#[test]
fn the_log_stays_in_proportion_to_what_is_ours() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    journal.record(&[entry(&service(1))]).unwrap();
    for _ in 0..500 {
        journal.record(&[entry(&service(2))]).unwrap();
        journal.forget(&[service(2)]).unwrap();
    }
    let lines = fs::read_to_string(dir.path().join("journal")).unwrap().lines().count();
    assert!(lines <= 70, "{lines} lines for one thing");
    drop(journal);
    assert_eq!(open(&dir).ours(), &[service(1)].into());
}

#[test]
fn one_thing_more_is_one_line_more_however_many_there_are() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let many: Vec<_> = (1..=1000).map(|port| entry(&service(port))).collect();
    journal.record(&many).unwrap();
    let path = dir.path().join("journal");
    let before = fs::metadata(&path).unwrap().len();
    journal.record(&[entry(&service(2000))]).unwrap();
    let written = fs::metadata(&path).unwrap().len() - before;
    assert!(written > 0 && written < 100, "{written} bytes");
    journal.record(&many).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len() - before, written, "known already");
}

proptest! {
    // Each case waits for the disk.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A crash can leave any beginning of the log.
    #[test]
    fn any_beginning_of_a_log_opens_and_names_no_less_than_its_whole_lines(cut in 0usize..1000) {
        let dir = TempDir::new().unwrap();
        let all = one_of_each();
        let mut journal = open(&dir);
        for made in &all {
            journal.record(&[entry(made)]).unwrap();
        }
        drop(journal);
        let path = dir.path().join("journal");
        let text = fs::read(&path).unwrap();
        let kept = &text[..cut.min(text.len())];
        fs::write(&path, kept).unwrap();
        let whole = kept.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(1);
        let mut journal = open(&dir);
        prop_assert_eq!(journal.ours(), &all[..whole].iter().cloned().collect());
        prop_assert!(journal.problems().is_empty());
        journal.record(&[entry(&service(9))]).unwrap();
        drop(journal);
        prop_assert_eq!(open(&dir).ours().len(), whole + 1);
    }

    #[test]
    fn any_bytes_open(bytes in prop::collection::vec(any::<u8>(), 0..300), headed: bool) {
        let dir = TempDir::new().unwrap();
        drop(open(&dir));
        let path = dir.path().join("journal");
        let mut text = if headed { fs::read(&path).unwrap() } else { Vec::new() };
        text.extend(bytes);
        fs::write(&path, text).unwrap();
        open(&dir).record(&[entry(&service(9))]).unwrap();
        prop_assert!(open(&dir).ours().contains(&service(9)));
    }
}

fn daemon(role: SyncRole) -> Fixture {
    Fixture::SyncDaemon(SyncDaemon {
        role,
        interface: InterfaceName::new("eth1").unwrap(),
        sync_id: 7,
        group: IpAddr::from([224, 0, 0, 81]),
        port: 8848,
        ttl: 1,
        max_length: 1472,
    })
}

fn fixtures() -> Vec<Fixture> {
    let packets = Packets {
        destination: "2001:db8::/64".parse().unwrap(),
        protocol: Protocol::Udp,
        first_port: 20000,
        last_port: 20999,
    };
    let devices = [
        TunnelDevice::Ipip,
        TunnelDevice::Sit,
        TunnelDevice::Ip6tnl,
        TunnelDevice::Gre,
        TunnelDevice::Ip6gre,
        TunnelDevice::GreChecksum,
        TunnelDevice::Ip6greChecksum,
    ];
    let local = IpAddr::from([10, 0, 0, 1]);
    let tunnels = devices.into_iter().map(|device| Fixture::Tunnel { device, local });
    tunnels
        .chain([
            Fixture::Gue { family: Family::V4, port: 6080 },
            Fixture::Gue { family: Family::V6, port: 6080 },
            Fixture::Mark { packets, mark: NonZeroU32::MAX },
            Fixture::Masquerade { packets },
            Fixture::LocalDelivery { packets },
            Fixture::SegmentSize { packets, bytes: 1380 },
            Fixture::Balanced { packets, mark: NonZeroU32::MIN },
            Fixture::OtherDirector { mac: crate::state::Mac([2, 0, 0, 0, 0, 1]) },
            Fixture::OwnTunnel { interface: InterfaceName::new("lvsi0a000001").unwrap() },
            daemon(SyncRole::Master),
            daemon(SyncRole::Backup),
            Fixture::Untracked { packets },
            Fixture::UnknownReplies { packets },
            Fixture::Arrivals { packets },
            Fixture::Outgoing { network: "10.0.0.0/24".parse().unwrap() },
        ])
        .collect()
}

#[test]
fn every_fixture_is_there_after_a_restart_and_can_be_forgotten() {
    let dir = TempDir::new().unwrap();
    let mut journal = open(&dir);
    let made: Vec<Made> = fixtures().into_iter().map(Made::Fixture).collect();
    journal.record(&made.iter().map(entry).collect::<Vec<_>>()).unwrap();
    drop(journal);
    let mut journal = open(&dir);
    assert_eq!(journal.ours(), &made.iter().cloned().collect());
    journal.forget(&made).unwrap();
    drop(journal);
    assert!(open(&dir).ours().is_empty());
}

#[test]
fn the_lines_of_fixtures_stay_as_they_are() {
    let dir = TempDir::new().unwrap();
    let all = fixtures();
    let picked = all.iter().skip(5).step_by(2).chain(all.iter().rev().nth(1));
    let picked: Vec<Entry> = picked.copied().map(Entry::Fixture).collect();
    open(&dir).record(&picked).unwrap();
    let text = fs::read_to_string(dir.path().join("journal")).unwrap();
    let to =
        r#""packets":{"destination":"2001:db8::/64","protocol":17,"first":20000,"last":20999}"#;
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            r#"{"add":{"fixture":{"tunnel":{"device":"gre-checksum","local":"10.0.0.1"}}}}"#
                .to_owned(),
            r#"{"add":{"fixture":{"gue":{"port":6080,"ipv6":false}}}}"#.to_owned(),
            format!(r#"{{"add":{{"fixture":{{"mark":{{{to},"mark":4294967295}}}}}}}}"#),
            format!(r#"{{"add":{{"fixture":{{"localDelivery":{{{to}}}}}}}}}"#),
            format!(r#"{{"add":{{"fixture":{{"balanced":{{{to},"mark":1}}}}}}}}"#),
            r#"{"add":{"fixture":{"ownTunnel":{"interface":"lvsi0a000001"}}}}"#.to_owned(),
            concat!(
                r#"{"add":{"fixture":{"syncDaemon":{"backup":true,"interface":"eth1","syncId":7,"#,
                r#""group":"224.0.0.81","port":8848,"ttl":1,"maxLength":1472}}}}"#
            )
            .to_owned(),
            format!(r#"{{"add":{{"fixture":{{"unknownReplies":{{{to}}}}}}}}}"#),
            r#"{"add":{"fixture":{"outgoing":{"network":"10.0.0.0/24"}}}}"#.to_owned(),
            format!(r#"{{"add":{{"fixture":{{"arrivals":{{{to}}}}}}}}}"#),
        ]
    );
}

#[test]
fn a_fixture_of_a_later_version_is_named_and_the_rest_read() {
    let dir = TempDir::new().unwrap();
    open(&dir).record(&[entry(&service(80))]).unwrap();
    let path = dir.path().join("journal");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"add\":{\"fixture\":{\"wormhole\":{\"to\":1}}}}\n");
    text.push_str("{\"add\":{\"fixture\":{\"gue\":{\"port\":1,\"ipv6\":false,\"later\":2}}}}\n");
    fs::write(&path, text).unwrap();
    let journal = open(&dir);
    assert_eq!(journal.problems().len(), 1);
    let gue = Made::Fixture(Fixture::Gue { family: Family::V4, port: 1 });
    assert_eq!(journal.ours(), &[service(80), gue].into());
}
