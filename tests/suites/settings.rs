//! A DirectorGroup's timeouts and sysctls: each is set, shown by its effect on packets, and given back.

#[path = "settings/others.rs"]
mod others;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{DrNet, Farm, Standalone, director_group, real_server, virtual_service};
use lvs_tests::table::NodeState;
use lvs_tests::traffic::{Client, Server, shares};

/// The farm's agent audits every 10 minutes.
const AUDITED: Duration = Duration::from_secs(11 * 60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn group(farm: &mut Farm, spec: &str) {
    farm.beside(&director_group("default", spec));
}

/// `tcp tcpfin udp`, in seconds, as ipvsadm shows them.
#[track_caller]
fn timeouts(farm: &Farm) -> String {
    let shown = farm.director.sh("ipvsadm -L --timeout").expect("ipvsadm");
    shown.trim().rsplit(": ").next().unwrap_or_default().to_owned()
}

/// The states of the entries in the connection table that count for this `VIP:PORT`.
#[track_caller]
fn entries(farm: &Farm, address: &str) -> Vec<String> {
    let shown = farm.director.sh("ipvsadm -Lnc").expect("ipvsadm");
    let lines = shown.lines().filter(|line| line.contains(&format!(" {address} ")));
    lines.map(|line| line.split_whitespace().nth(2).unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn vs(farm: &Farm, name: &str) -> String {
    farm.director.read_sysctl(&format!("net.ipv4.vs.{name}"))
}

#[test]
fn timeouts_are_set_in_place_and_taken_back() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(2);
        farm.agent.clean_up();
        // An admin's own, so that what is given back is seen not to be the kernel's default.
        farm.director.sh("ipvsadm --set 800 110 250")?;
        let before = NodeState::of(&farm.director);
        farm.agent.run();
        group_has_no_say_on_what_it_leaves_out(&mut farm)?;
        an_entry_lives_as_long_as_is_set(&mut farm)?;
        drift_is_repaired_and_what_goes_is_given_back(&mut farm)?;
        group(&mut farm, "timeouts: {tcp: 30, tcpFin: 10, udp: 20}");
        assert_eq!(timeouts(&farm), "30 10 20");
        farm.agent.clean_up();
        NodeState::of(&farm.director).assert_same_as(&before);
        Ok(())
    });
}

fn group_has_no_say_on_what_it_leaves_out(farm: &mut Farm) -> anyhow::Result<()> {
    farm.serve("scheduler: rr", &[1, 1]);
    group(farm, "timeouts: {udp: 20}");
    assert_eq!(timeouts(farm), "800 110 20");
    group(farm, "timeouts: {tcp: 30, tcpFin: 10, udp: 20}");
    assert_eq!(timeouts(farm), "30 10 20");
    Ok(())
}

/// The kernel's timers of up to half a minute are exact to 0.64 s (at 100 Hz; kernel/time/timer.c).
fn an_entry_lives_as_long_as_is_set(farm: &mut Farm) -> anyhow::Result<()> {
    let dns = farm
        .serve("scheduler: rr, ports: [{port: PORT, protocol: UDP, targetPort: 8080}]", &[1, 1]);
    let client = farm.client.clone();
    let client = Client::new(&client).from("192.168.0.50:30000");
    let first = client.get_udp(&dns)?.server;
    sleep(seconds(19));
    assert_eq!(entries(farm, &dns), ["UDP"], "udp: 20");
    sleep(seconds(2));
    assert_eq!(entries(farm, &dns), [""; 0]);
    assert_ne!(client.get_udp(&dns)?.server, first, "the other one's turn: it was forgotten");

    let web = farm.serve("scheduler: rr", &[1, 1]);
    let mut held = farm.client.hold_many(&web, 1)?;
    sleep(seconds(28));
    held.assert_alive("28 s");
    sleep(seconds(29));
    assert_eq!(entries(farm, &web), ["ESTABLISHED"], "tcp: 30, anew with each packet");
    // A longer one counts from the next packet on; what waits already goes on to wait as long as it was to.
    group(farm, "timeouts: {tcp: 40, tcpFin: 10, udp: 20}");
    held.assert_alive("another timeout");
    sleep(seconds(38));
    held.assert_alive("38 s");
    sleep(seconds(42));
    assert_eq!(entries(farm, &web), [""; 0]);

    // The server closes, the client does not. (The other way round it is CLOSE_WAIT, 60 s, with NAT: `tcp_states` in
    // ip_vs_proto_tcp.c.)
    let server = Server::tcp(&farm.nodes()[0], "10.0.0.101:9090", "closing");
    let web = farm.serve("scheduler: rr, ports: [{port: PORT, targetPort: 9090}]", &[1]);
    let _held = farm.client.hold_many(&web, 1)?;
    drop(server);
    sleep(seconds(9));
    assert_eq!(entries(farm, &web), ["FIN_WAIT"], "tcpFin: 10");
    sleep(seconds(2));
    assert_eq!(entries(farm, &web), [""; 0]);
    Ok(())
}

fn drift_is_repaired_and_what_goes_is_given_back(farm: &mut Farm) -> anyhow::Result<()> {
    farm.director.sh("ipvsadm --set 31 11 21")?;
    sleep(AUDITED);
    assert_eq!(timeouts(farm), "40 10 20");
    assert!(farm.agent.metric("lvs_agent_drift_repairs_total", "") >= 1.0);
    group(farm, "timeouts: {tcp: 40}");
    assert_eq!(timeouts(farm), "40 110 250");
    group(farm, "networks: []");
    assert_eq!(timeouts(farm), "800 110 250");
    Ok(())
}

/// Field, file, a value that is neither the kernel's nor ours, and the kernel's.
const SYSCTLS: &[(&str, &str, &str, &str)] = &[
    ("conntrack: true", "conntrack", "1", "0"),
    ("connReuseMode: 2", "conn_reuse_mode", "2", "1"),
    ("expireNodestConn: false", "expire_nodest_conn", "0", "0"),
    ("expireQuiescentTemplate: false", "expire_quiescent_template", "0", "0"),
    ("sloppyTcp: true", "sloppy_tcp", "1", "0"),
    ("sloppySctp: true", "sloppy_sctp", "1", "0"),
    ("scheduleIcmp: true", "schedule_icmp", "1", "0"),
    ("natIcmpSend: true", "nat_icmp_send", "1", "0"),
    ("pmtuDisc: false", "pmtu_disc", "0", "1"),
    ("dropEntry: 1", "drop_entry", "1", "0"),
    ("dropPacket: 1", "drop_packet", "1", "0"),
    ("secureTcp: 3", "secure_tcp", "3", "0"),
    ("runEstimation: false", "run_estimation", "0", "1"),
];

#[test]
fn each_sysctl_sets_its_file_and_is_given_back() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(2);
        farm.agent.clean_up();
        let before = NodeState::of(&farm.director);
        for (_, file, _, kernel) in SYSCTLS {
            assert_eq!(vs(&farm, file), *kernel, "{file} of this kernel");
        }
        farm.agent.run();
        farm.serve("scheduler: rr", &[1, 1]);
        let ours = |file: &str, kernel: &str| match file {
            "expire_nodest_conn" | "expire_quiescent_template" => "1".to_owned(),
            _ => kernel.to_owned(),
        };
        for (_, file, _, kernel) in SYSCTLS {
            assert_eq!(vs(&farm, file), ours(file, kernel), "{file} without a field");
        }
        for (field, file, value, kernel) in SYSCTLS {
            group(&mut farm, &format!("sysctls: {{{field}}}"));
            assert_eq!(vs(&farm, file), *value, "{field}");
            let others = SYSCTLS.iter().filter(|(_, other, _, _)| other != file);
            for (_, other, _, kernel) in others {
                assert_eq!(vs(&farm, other), ours(other, kernel), "{other} beside {field}");
            }
            group(&mut farm, "networks: []");
            assert_eq!(vs(&farm, file), ours(file, kernel), "{field} is gone");
        }
        let all: Vec<_> = SYSCTLS.iter().map(|(field, ..)| *field).collect();
        group(&mut farm, &format!("sysctls: {{{}}}", all.join(", ")));
        for (field, file, value, _) in SYSCTLS {
            assert_eq!(vs(&farm, file), *value, "{field} with all others");
        }
        what_the_kernel_moves_by_itself_is_no_drift(&farm)?;
        farm.agent.clean_up();
        NodeState::of(&farm.director).assert_same_as(&before);
        Ok(())
    });
}

/// `update_defense_level` in ip_vs_ctl.c: 1 becomes 2 when memory is short, and 2 becomes 1 when there is enough again. A
/// write of 2 by hand is the same to the agent; another value is not.
fn what_the_kernel_moves_by_itself_is_no_drift(farm: &Farm) -> anyhow::Result<()> {
    let repairs = || farm.agent.metric("lvs_agent_drift_repairs_total", "");
    let before = repairs();
    farm.director.sh("sysctl -q -w net.ipv4.vs.drop_entry=2")?;
    sleep(AUDITED);
    assert_eq!(
        (vs(farm, "drop_entry").as_str(), repairs()),
        ("1", before),
        "the kernel's way back"
    );
    farm.director.sh("sysctl -q -w net.ipv4.vs.drop_entry=3 net.ipv4.vs.sloppy_tcp=0")?;
    sleep(AUDITED);
    assert_eq!((vs(farm, "drop_entry"), vs(farm, "sloppy_tcp")), ("1".into(), "1".into()));
    assert!(repairs() > before);
    Ok(())
}

#[test]
fn the_sysctls_of_ours_have_their_effects_on_packets() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(3);
        a_connection_ends_with_the_next_packet_when_its_server_is_taken_out(&mut farm)?;
        a_bound_client_leaves_a_drained_server(&mut farm)?;
        a_director_that_forgot_goes_on_with_sloppy_tcp_and_mh(&mut farm)?;
        connections_are_tracked_only_where_it_is_needed(&mut farm)
    });
}

fn a_connection_ends_with_the_next_packet_when_its_server_is_taken_out(
    farm: &mut Farm,
) -> anyhow::Result<()> {
    for (spec, told) in
        [("networks: []", "reset by peer"), ("sysctls: {expireNodestConn: false}", "unavailable")]
    {
        group(farm, spec);
        let web = farm.serve("scheduler: rr", &[1, 0, 0]);
        let mut held = farm.client.hold(&web)?;
        assert_eq!(held.ask()?.server, "rs1");
        farm.servers_are(&["", "weight: 1", "weight: 1"]);
        let error = format!("{:#}", held.ask().expect_err("its server is gone"));
        assert!(error.contains(told), "{spec}: {error}");
    }
    group(farm, "networks: []");
    Ok(())
}

/// The other side, a group that sets it to false, is shown in the suite of persistence.
fn a_bound_client_leaves_a_drained_server(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr, persistence: {}", &[1, 1, 1]);
    let bound = farm.client.get(&web)?.server;
    assert_eq!(farm.client.shares(&web, 4)?, shares([(bound.as_str(), 4)]));
    farm.weigh(&["rs1", "rs2", "rs3"].map(|name| i32::from(name != bound)));
    let later = farm.client.shares(&web, 4)?;
    assert!(later.len() == 1 && !later.contains_key(&bound), "{bound}, then {later:?}");
    Ok(())
}

/// A director that takes over without the other's table knows none of its connections. Here it forgets them by a timeout.
fn a_director_that_forgot_goes_on_with_sloppy_tcp_and_mh(farm: &mut Farm) -> anyhow::Result<()> {
    for (sloppy, go_on) in [(true, 40), (false, 0)] {
        group(farm, &format!("timeouts: {{tcp: 5}}, sysctls: {{sloppyTcp: {sloppy}}}"));
        let web = farm.serve("scheduler: mh, schedulerFlags: [mhPort]", &[1, 1, 1]);
        let mut held = Vec::new();
        // So many that chance (the client's ports are hashed) leaves out no server: one time in four million.
        for _ in 0..40 {
            let mut connection = farm.client.hold(&web)?;
            let server = connection.ask()?.server;
            held.push((connection, server));
        }
        let met: BTreeSet<_> = held.iter().map(|(_, server)| server).collect();
        assert_eq!(met.len(), 3, "on all servers: {met:?}");
        sleep(seconds(7));
        assert_eq!(entries(farm, &web), [""; 0], "all forgotten");
        let mut alive = 0;
        for (connection, server) in &mut held {
            match connection.ask() {
                Ok(answer) => {
                    assert_eq!(answer.server, *server);
                    alive += 1;
                }
                Err(error) => {
                    assert!(format!("{error:#}").contains("reset by peer"), "{error:#}");
                }
            }
        }
        assert_eq!(alive, go_on, "sloppyTcp: {sloppy}");
    }
    group(farm, "networks: []");
    Ok(())
}

fn connections_are_tracked_only_where_it_is_needed(farm: &mut Farm) -> anyhow::Result<()> {
    let web = farm.serve("scheduler: rr", &[1, 1, 1]);
    assert_eq!(vs(farm, "conntrack"), "0", "NAT alone");
    farm.change("scheduler: rr, nat: {masquerade: true}");
    assert_eq!(vs(farm, "conntrack"), "1", "masquerading");
    assert_eq!(farm.client.get(&web)?.seen_source.ip().to_string(), "10.0.0.1");
    farm.change("scheduler: rr");
    assert_eq!(vs(farm, "conntrack"), "0", "no more");
    assert_eq!(farm.client.get(&web)?.seen_source.ip().to_string(), "192.168.0.50");
    let ftp =
        virtual_service("ftp", "addresses: [192.168.0.11], ports: [{port: 21}], forwarding: NAT");
    farm.beside(&format!("{ftp}---\n{}", real_server("ftp1", "ftp", "address: 10.0.0.101")));
    assert_eq!(vs(farm, "conntrack"), "1", "FTP");
    farm.beside("");
    assert_eq!(vs(farm, "conntrack"), "0", "no more");
    Ok(())
}

/// A kernel without one: no kernel at hand lacks any of them, so a folder without the file stands in its place.
#[test]
fn a_sysctl_that_the_kernel_lacks_is_told_and_stops_nothing() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(2);
        farm.director.sh(
            "cp -r /proc/sys/net/ipv4/vs /tmp/vs && rm /tmp/vs/sloppy_tcp && mount --bind /tmp/vs /proc/sys/net/ipv4/vs",
        )?;
        let web = farm.serve("scheduler: rr", &[1, 1]);
        group(&mut farm, "timeouts: {udp: 33}, sysctls: {sloppyTcp: true, sloppySctp: true}");
        let release = farm.director.sh("uname -r")?;
        for part in ["NoSuchSysctl", "spec.sysctls.sloppyTcp", release.trim()] {
            let log = farm.agent.log() + &farm.agent.status().to_string();
            assert!(log.contains(part), "{part} is not in {log}");
        }
        assert_eq!(vs(&farm, "sloppy_sctp"), "1");
        assert_eq!(timeouts(&farm), "900 120 33");
        assert_eq!(farm.client.shares(&web, 2)?, shares([("rs1", 1), ("rs2", 1)]));
        farm.agent.clean_up();
        assert_eq!(timeouts(&farm), "900 120 300");
        Ok(())
    });
}

const SHORT: Duration = Duration::from_secs(2);

/// What `ReachableFromNodes` says.
#[test]
fn clients_on_the_machines_themselves_are_served_as_the_condition_says() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut farm = Farm::new(2);
        let web = farm.serve("scheduler: rr", &[1, 1]);
        farm.agent.wait_for_told("web", "ReachableFromNodes", "False", "nat.masquerade");
        assert_eq!(farm.director.shares(&web, 2)?, shares([("rs1", 1), ("rs2", 1)]));
        let from_server = |farm: &Farm| {
            let client = Client::new(&farm.nodes()[0]).patience(SHORT);
            (0..2).map(|_| client.get(&web).map(|answer| answer.server)).collect::<Vec<_>>()
        };
        let met = from_server(&farm);
        assert!(met.iter().all(Result::is_err), "past the director: {met:?}");
        farm.change("scheduler: rr, nat: {masquerade: true}");
        farm.agent.wait_for("web", "ReachableFromNodes", "True");
        assert_eq!(farm.director.shares(&web, 2)?, shares([("rs1", 1), ("rs2", 1)]));
        let mut met: Vec<_> = from_server(&farm).into_iter().filter_map(Result::ok).collect();
        met.sort();
        assert_eq!(met, ["rs1", "rs2"], "itself too");
        farm.agent.clean_up();
        Ok(())
    });
}

#[test]
fn with_dr_a_client_on_the_director_is_not_served_and_one_on_a_real_server_meets_itself() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let net = DrNet::new();
        net.rs1.sh(
            "sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 && \
             ip address add 192.168.0.10/32 dev lo",
        )?;
        let agent = Standalone::start(&net.director);
        for (weight, forwarding) in [(1, "DR"), (0, "DR"), (1, "TUN")] {
            let spec = format!("addresses: [{}], forwarding: {forwarding}", DrNet::VIP);
            let server = format!("address: 192.168.0.101, weight: {weight}");
            let networks = "networks: [{cidr: 192.168.0.0/24, interface: eth0}]";
            let objects = [
                virtual_service("web", &spec),
                real_server("rs1", "web", &server),
                director_group("default", networks),
            ];
            agent.put("web.yaml", objects.join("---\n"));
            sleep(seconds(1));
            agent.wait_for("web", "Programmed", "True");
            let told = format!("{forwarding}:");
            agent.wait_for_told("web", "ReachableFromNodes", "False", &told);
            let own = Client::new(&net.director).patience(SHORT).get(DrNet::WEB);
            assert!(own.is_err(), "{forwarding} {weight}: {own:?}");
            let met = net.rs1.get(DrNet::WEB)?;
            assert_eq!((met.server.as_str(), met.seen_source.ip()), ("rs1", DrNet::VIP.parse()?));
        }
        Ok(())
    });
}
