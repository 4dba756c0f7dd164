//! Every tunnel, inner and outer family, with a megabyte both ways over links of 1500 bytes.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::Node;
use lvs_tests::scenario::{real_server, virtual_service};
use lvs_tests::traffic::{Client, Server, shares};
use lvs_tests::wire::{Capture, Frame, Packet};

use super::world::{World, answers, socket};

const MEGABYTE: usize = 1 << 20;
/// The inner and the outer family's place in pairs of addresses.
const FAMILIES: [(usize, usize); 4] = [(0, 0), (1, 1), (0, 1), (1, 0)];

/// A VirtualService's `tunnel`, and what its packets are on the wire: their protocol, and how much the wrapping takes
/// besides the outer IP header.
const TUNNELS: [(&str, [u8; 2], usize); 6] = [
    ("{type: ipip}", [4, 41], 0),
    ("{type: gre}", [47, 47], 4),
    ("{type: gre, checksum: csum}", [47, 47], 8),
    ("{type: gue}", [17, 17], 12),
    ("{type: gue, port: 5555, checksum: csum}", [17, 17], 12),
    ("{type: gue, checksum: remcsum}", [17, 17], 20),
];

/// What a transfer looked like on the director's wire.
#[derive(Debug)]
struct Seen {
    wrapped: usize,
    too_big: usize,
    /// The largest segment that the server asked for.
    segment: Option<usize>,
}

fn transfer(world: &World, vip: &str, protocol: u8) -> anyhow::Result<Seen> {
    let World { client, director, .. } = world;
    client.sh("ip route flush cache; ip -6 route flush cache; ip tcp_metrics flush")?;
    let at = [director, client].map(Capture::start);
    let answer = Client::new(client).bulk(&socket(vip, 90), MEGABYTE);
    let [frames, received] = at.map(|capture| capture.frames());
    let is_wrapped = |frame: &&Frame| {
        let Packet::Ip { protocol: found, payload, .. } = &frame.packet else { return false };
        frame.outgoing && *found == protocol && payload.len() > 60
    };
    // "Fragmentation needed" is ICMP 3/4, "packet too big" ICMPv6 2.
    let is_too_big = |frame: &&Frame| {
        let Packet::Ip { protocol, payload, .. } = &frame.packet else { return false };
        frame.outgoing && matches!((protocol, &payload[..]), (1, [3, 4, ..]) | (58, [2, ..]))
    };
    let seen = Seen {
        wrapped: frames.iter().filter(is_wrapped).count(),
        too_big: frames.iter().filter(is_too_big).count(),
        segment: received.iter().find_map(|frame| segment_size(frame, vip)),
    };
    let answer = answer.map_err(|error| error.context(format!("{seen:?}")))?;
    anyhow::ensure!(answer.server == "far1", "{answer:?}");
    anyhow::ensure!(answer.seen_local.ip().to_string() == vip, "{answer:?}");
    Ok(seen)
}

/// The MSS option (RFC 9293, 3.2) of a SYN from the VIP.
fn segment_size(frame: &Frame, vip: &str) -> Option<usize> {
    let Packet::Ip { protocol: 6, payload, .. } = &frame.packet else { return None };
    let is_syn = payload.get(13).is_some_and(|flags| flags & 0x12 == 0x12);
    let at = payload.get(20..)?.windows(4).position(|option| option[..2] == [2, 4])? + 22;
    let size = u16::from_be_bytes(payload.get(at..at + 2)?.try_into().ok()?);
    (is_syn && !frame.outgoing && frame.is_from(vip)).then_some(size.into())
}

#[test]
fn a_megabyte_passes_both_ways_through_every_tunnel() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let [director, far]: [Node; 2] = [world.director.clone(), world.far[0].clone()];
        world.start(&[&director, &far]);
        let _bulk = ["0.0.0.0:90", "[::]:90"].map(|at| Server::bulk(&far, at, "far1"));
        let mut failed = Vec::new();
        for (tunnel, protocols, wrapping) in TUNNELS {
            for (inner, outer) in FAMILIES {
                let vip = World::VIP[inner];
                let spec = format!(
                    "addresses: ['{vip}'], forwarding: TUN, tunnel: {tunnel}, ports: [{{port: 90}}]"
                );
                let address = ["10.3.0.101", "fd03::101"][outer];
                let server = real_server("far1", "web", &format!("address: '{address}'"));
                world.apply(&format!("{}---\n{server}", virtual_service("web", &spec)), &["web"]);

                let headers = [20, 40][outer] + wrapping + [40, 60][inner];
                let case = format!("{tunnel} IPv{} in IPv{}", 4 + 2 * inner, 4 + 2 * outer);
                let mut judge = |how: &str, seen: anyhow::Result<Seen>, told: bool, segment| {
                    println!("{case}, {how}: {seen:?}");
                    let good = seen.is_ok_and(|seen| {
                        seen.wrapped > 30
                            && (seen.too_big > 0) == told
                            && seen.segment == Some(segment)
                    });
                    if !good {
                        failed.push(format!("{case}, {how}"));
                    }
                };
                let seen = transfer(&world, vip, protocols[inner]);
                judge("with smaller segments", seen, false, 1500 - headers);
                // By path MTU discovery alone, while nobody brings the table back.
                world.agent(&far).freeze();
                far.sh("nft delete table inet kube-lvs")?;
                let seen = transfer(&world, vip, protocols[inner]);
                world.agent(&far).thaw();
                judge("with path MTU discovery", seen, true, 1500 - [40, 60][inner]);
            }
        }
        assert_eq!(failed, Vec::<String>::new());
        world.clean_up();
        Ok(())
    });
}

/// What the director wraps has to leave it whole. A machine without a cluster is told of the others' MTU.
#[test]
fn segments_fit_the_directors_mtu_where_that_is_the_smaller_one() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let [director, far]: [Node; 2] = [world.director.clone(), world.far[0].clone()];
        director.ip("link set eth0 mtu 1400");
        world.start(&[&director, &far]);
        let _bulk = Server::bulk(&far, "0.0.0.0:90", "far1");
        let vip = World::VIP[0];
        let spec = format!("addresses: ['{vip}'], forwarding: TUN, ports: [{{port: 90}}]");
        let server = real_server("far1", "web", "address: 10.3.0.101");
        let objects = format!("{}---\n{server}", virtual_service("web", &spec));
        for (member, segment) in [("{node: director, mtu: 1400}", 1340), ("{node: director}", 1440)]
        {
            let group = format!(
                "{{apiVersion: kube-lvs.io/v1alpha1, kind: DirectorGroup, metadata: {{name: default}}, \
                 spec: {{members: [{member}]}}}}\n"
            );
            world.put_all(&group, &objects);
            let seen = transfer(&world, vip, 4)?;
            println!("{member}: {seen:?}");
            let told = segment > 1340;
            assert_eq!(
                (seen.segment, seen.too_big > 0),
                (Some(segment), told),
                "{member}: {seen:?}"
            );
        }
        world.clean_up();
        Ok(())
    });
}

/// What docs/real-servers.md says, on a machine without an agent; our kernel has the modules built in.
#[test]
fn a_real_server_set_up_by_hand_as_the_docs_say_unwraps_every_tunnel() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/real-servers.md");
        let docs = fs::read_to_string(docs)?;
        let (_, tun) = docs.split_once("## TUN by hand").context("the section")?;
        let (_, block) = tun.split_once("```sh\n").context("its commands")?;
        let (block, _) = block.split_once("```").context("the end of its commands")?;
        let recipe: Vec<&str> =
            block.lines().filter(|line| !line.starts_with("modprobe")).collect();
        for needed in ["ip fou add port 6080 gue", "ip tunnel add grelvs mode gre local 10.3.0.101"]
        {
            assert!(tun.contains(needed), "{needed}");
        }

        let mut world = World::new();
        let [director, far]: [Node; 2] = [world.director.clone(), world.far[0].clone()];
        world.start(&[&director]);
        world.serve(&far);
        let web = socket(World::VIP[0], 80);
        for (tunnel, first, device) in [
            ("ipip", "", "tunl0"),
            ("gue", "ip fou add port 6080 gue", "tunl0"),
            ("gre", "ip tunnel add grelvs mode gre local 10.3.0.101", "grelvs"),
        ] {
            let spec =
                format!("addresses: [192.168.0.10], forwarding: TUN, tunnel: {{type: {tunnel}}}");
            let server = real_server("far1", "web", "address: 10.3.0.101");
            world.apply(&format!("{}---\n{server}", virtual_service("web", &spec)), &["web"]);
            assert_eq!(answers(&world.client, &web, 2), shares([("nobody", 2)]), "{tunnel}");
            for line in [first].iter().chain(&recipe) {
                far.sh(&line.replace("tunl0", device))?;
            }
            assert_eq!(answers(&world.client, &web, 2), shares([("far1", 2)]), "{tunnel}");
            far.sh(&format!(
                "ip address del 192.168.0.10/32 dev {device} && ip link set {device} down"
            ))?;
        }
        Ok(())
    });
}
