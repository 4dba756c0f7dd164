//! Sync daemons.

use super::*;
use crate::plan::Owner;
use crate::state::{SyncDaemon, SyncRole};
use lvs_crds::{ConnectionSync, DirectorGroupStatus, Member};

pub(super) const SEVERAL: Option<Part> = Some(Part::OneOfSeveral);

pub(super) fn member(node: &str, addresses: &[&str], macs: &[&str]) -> Member {
    let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Member { node: node.to_owned(), addresses: all(addresses), macs: all(macs), mtu: None }
}

/// Group `name` of directors `d` and `e`.
pub(super) fn pair(name: &str, sync_id: i32) -> DirectorGroup {
    let mut group = group("d");
    group.metadata.name = Some(name.to_owned());
    group.status = Some(DirectorGroupStatus {
        members: vec![
            member("d", &["192.168.0.1", "2001:db8::1"], &["02:00:00:00:00:02"]),
            member("e", &["192.168.0.2", "2001:db8::2"], &["02:00:00:00:00:03"]),
        ],
        sync_id: Some(sync_id),
        ..DirectorGroupStatus::default()
    });
    group
}

fn facts() -> Facts {
    node("d", &[("eth0", "192.168.0.1/24"), ("eth1", "10.0.0.1/24")], Some("10.0.0.254"))
}

fn daemons(fragment: &Fragment) -> Vec<SyncDaemon> {
    let daemon = |fixture: &Fixture| match fixture {
        Fixture::SyncDaemon(daemon) => Some(*daemon),
        _ => None,
    };
    fragment.fixtures.iter().filter_map(daemon).collect()
}

fn planned(group: &DirectorGroup, facts: &Facts) -> Fragment {
    plan_group(group, SEVERAL, &[group], facts)
}

fn with(sync: ConnectionSync) -> DirectorGroup {
    let mut group = pair("a", 7);
    group.spec.connection_sync = Some(sync);
    group
}

#[test]
fn both_daemons_run_on_the_interface_that_leads_to_the_others() {
    let fragment = planned(&pair("a", 7), &facts());
    assert_eq!(fragment.problems, []);
    let master = SyncDaemon {
        role: SyncRole::Master,
        interface: crate::state::InterfaceName::new("eth0").unwrap(),
        sync_id: 7,
        group: "224.0.0.81".parse().unwrap(),
        port: 8848,
        ttl: 1,
        max_length: 1472,
    };
    assert_eq!(daemons(&fragment), [master, SyncDaemon { role: SyncRole::Backup, ..master }]);
    let sysctl = |name: &str| fragment.sysctls.get(&format!("net/ipv4/vs/{name}")).cloned();
    assert_eq!(sysctl("sync_threshold").as_deref(), Some("2 0"));
    assert_eq!(sysctl("sync_refresh_period").as_deref(), Some("8"));
}

#[test]
fn without_an_interface_of_their_own_they_run_on_that_of_advertisements() {
    let mut group = pair("a", 7);
    let failover = lvs_crds::Failover { interface: Some("eth1".to_owned()), ..Default::default() };
    group.spec.failover = Some(failover);
    let interfaces = |group: &DirectorGroup| {
        let daemons = daemons(&planned(group, &facts()));
        daemons.iter().map(|it| it.interface.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(interfaces(&group), ["eth1", "eth1"]);
    let own = ConnectionSync { interface: Some("eth0".to_owned()), ..ConnectionSync::default() };
    group.spec.connection_sync = Some(own);
    assert_eq!(interfaces(&group), ["eth0", "eth0"]);
}

#[test]
fn a_director_that_no_route_leads_to_hinders_none_of_the_others() {
    let mut group = pair("a", 7);
    let members = &mut group.status.as_mut().unwrap().members;
    members.insert(1, member("c", &["172.16.0.9"], &[]));
    let facts = node("d", &[("eth0", "192.168.0.1/24")], None);
    assert_eq!(daemons(&planned(&group, &facts)).len(), 2);
}

#[test]
fn none_run_for_one_director_without_an_id_or_where_it_is_off() {
    let mut alone = pair("a", 7);
    alone.status.as_mut().unwrap().members.pop();
    let fragment = plan_group(&alone, ACTIVE, &[&alone], &facts());
    assert_eq!(daemons(&fragment), []);
    assert!(!fragment.sysctls.contains_key("net/ipv4/vs/sync_threshold"));
    let mut early = pair("a", 7);
    early.status.as_mut().unwrap().sync_id = None;
    assert_eq!(daemons(&planned(&early, &facts())), []);
    assert_eq!(daemons(&planned(&pair("a", 0), &facts())), [], "the kernel takes 0 for all ids");
    let off = with(ConnectionSync { enabled: Some(false), ..ConnectionSync::default() });
    assert_eq!(daemons(&planned(&off, &facts())), []);
}

#[test]
fn the_oldest_group_that_syncs_has_the_say() {
    let (mut oldest, older, younger) = (pair("a", 1), pair("b", 2), pair("c", 3));
    oldest.status.as_mut().unwrap().members.truncate(1);
    let groups = [&oldest, &older, &younger];
    let ids = |group: &DirectorGroup| {
        let fragment = plan_group(group, SEVERAL, &groups, &facts());
        daemons(&fragment).into_iter().map(|daemon| daemon.sync_id).collect::<Vec<_>>()
    };
    assert_eq!((ids(&oldest), ids(&older), ids(&younger)), (vec![], vec![2, 2], vec![]));
}

#[test]
fn a_director_that_leaves_its_only_group_syncs_on() {
    let fragment = plan_group(&pair("a", 7), SEVERAL, &[], &facts());
    assert_eq!(daemons(&fragment).len(), 2);
}

#[test]
fn what_the_group_says_is_what_runs() {
    let mut facts = facts();
    facts.interfaces.get_mut("eth1").unwrap().mtu = 9000;
    let group = with(ConnectionSync {
        interface: Some("eth1".to_owned()),
        multicast_group: Some("ff12::99".to_owned()),
        port: Some(9000),
        ttl: Some(3),
        max_length: Some(60_000),
        ..ConnectionSync::default()
    });
    let daemons = daemons(&planned(&group, &facts));
    let said =
        daemons.iter().map(|it| (it.interface.as_str(), it.group.to_string(), it.port, it.ttl));
    let expected = ("eth1", "ff12::99".to_owned(), 9000, 3);
    assert_eq!(said.collect::<Vec<_>>(), [expected.clone(), expected]);
    // Of longer ones the kernel counts the connections wrongly.
    assert_eq!([daemons[0].max_length, daemons[1].max_length], [9188, 9188]);
}

#[test]
fn a_large_mtu_is_for_what_comes_in_alone() {
    let mut facts = facts();
    facts.interfaces.get_mut("eth0").unwrap().mtu = 9000;
    let lengths = |facts: &Facts| {
        let daemons = daemons(&planned(&pair("a", 7), facts));
        daemons.iter().map(|it| it.max_length).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&facts), [1472, 8972]);
    facts.interfaces.get_mut("eth0").unwrap().mtu = 1400;
    assert_eq!(lengths(&facts), [1372, 1472]);
}

#[test]
fn directors_without_ipv4_tell_each_other_over_ipv6() {
    let mut group = pair("a", 7);
    for member in &mut group.status.as_mut().unwrap().members {
        member.addresses.remove(0);
    }
    let facts = node("d", &[("eth0", "2001:db8::1/64")], None);
    let groups: Vec<_> =
        daemons(&planned(&group, &facts)).iter().map(|it| it.group.to_string()).collect();
    assert_eq!(groups, ["ff12::81", "ff12::81"]);
}

#[test]
fn an_interface_that_cannot_do_it_is_a_problem_with_field_and_fix() {
    let on = |interface: &str| {
        let interface = Some(interface.to_owned());
        with(ConnectionSync { interface, ..ConnectionSync::default() })
    };
    let told = |group: &DirectorGroup, facts: &Facts| {
        let fragment = planned(group, facts);
        assert_eq!(daemons(&fragment), []);
        assert_eq!(fragment.problems, [], "nothing that keeps services from being programmed");
        let [problem] = fragment.warnings.as_slice() else { panic!("{:?}", fragment.warnings) };
        assert!(problem.message.contains("spec.connectionSync"), "{}", problem.message);
        (problem.reason.clone(), problem.message.clone())
    };
    let (reason, message) = told(&on("eth9"), &facts());
    assert_eq!(reason, "NoInterface");
    assert!(message.contains("eth9"), "{message}");
    assert_eq!(told(&on("lo"), &facts()).0, "NoMulticast");
    let mut deaf = facts();
    deaf.interfaces.get_mut("eth0").unwrap().multicast = false;
    assert_eq!(told(&pair("a", 7), &deaf).0, "NoMulticast");
    let mut bare = facts();
    bare.interfaces.get_mut("eth1").unwrap().addresses.clear();
    assert_eq!(told(&on("eth1"), &bare).0, "NoAddress");
    let unrouted = node("d", &[("eth0", "10.9.0.1/24")], None);
    assert_eq!(told(&pair("a", 7), &unrouted).0, "NoInterface");
    let wrong = with(ConnectionSync {
        multicast_group: Some("10.0.0.1".to_owned()),
        ..ConnectionSync::default()
    });
    assert_eq!(told(&wrong, &facts()).0, "Invalid");
}

#[test]
fn no_daemon_runs_beside_a_destination_of_the_other_family() {
    let mut fragments = Fragments::default();
    let mut touched = Touched::default();
    let group_owner = Owner::Group("a".to_owned());
    fragments.set(&group_owner, planned(&pair("a", 7), &facts()), &mut touched);
    assert_eq!(fragments.union().fixtures.len(), 2);
    assert_eq!(fragments.excludes_sync(), None);
    let mixed = slice("web", 1, &[service(VIP, 80)], &[server("2001:db8::5", TUN, 1, 80)]);
    let owner = Owner::of(&mixed);
    let fragment = plan(&[&mixed], Some(&pair("a", 7)), SEVERAL, &facts());
    let mut touched = Touched::default();
    fragments.set(&owner, fragment, &mut touched);
    assert_eq!(fragments.union().fixtures.len(), 0);
    assert_eq!(touched.fixtures.len(), 2, "they are looked at in the same round");
    assert_eq!(fragments.excludes_sync(), Some(&key(80)));
    let mut touched = Touched::default();
    fragments.set(&owner, Fragment::default(), &mut touched);
    assert_eq!(fragments.union().fixtures.len(), 2);
    assert_eq!(touched.fixtures.len(), 2);
}

#[test]
fn masqueraded_connections_are_said_to_end() {
    let mut slice = slice("web", 1, &[service(VIP, 80)], &[server("10.0.0.101", NAT, 1, 80)]);
    slice.spec.masquerade = true;
    let warnings = |part| {
        let fragment = plan(&[&slice], Some(&pair("a", 7)), part, &facts());
        fragment.warnings.into_iter().map(|warning| warning.reason).collect::<Vec<_>>()
    };
    assert_eq!(warnings(SEVERAL), ["ConnectionsNotKept"]);
}
