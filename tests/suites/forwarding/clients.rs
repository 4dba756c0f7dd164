//! Directors that serve themselves, and clients on the machines that do the work.

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::net::Node;
use lvs_tests::scenario::{real_server, virtual_service};
use lvs_tests::traffic::{Client, shares};

use super::world::{World, answers, socket};

const WAYS: [&str; 3] = ["NAT", "DR", "TUN"];

fn service(forwarding: &str, more: &str) -> String {
    let [four, six] = World::VIP;
    let spec =
        format!("addresses: ['{four}', '{six}'], forwarding: {forwarding}, scheduler: rr{more}");
    virtual_service("web", &spec)
}

/// A RealServer for each address, named by it.
fn servers(addresses: &[&str]) -> String {
    let object = |address: &&str| {
        let name = format!("rs-{}", address.replace([':', '.'], "-").replace("--", "-"));
        format!("---\n{}", real_server(&name, "web", &format!("address: '{address}'")))
    };
    addresses.iter().map(object).collect()
}

#[test]
fn a_director_serves_as_its_own_real_server_in_every_way() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let [client, director, near] =
            [&world.client, &world.director, &world.near].map(Node::clone);
        let inside = world.inside[0].clone();
        inside.ip("route add default via 10.0.0.1\nroute add default via fd00::1");
        world.start(&[&director, &near, &inside]);
        world.serve(&director);
        let port = ", ports: [{port: 80, targetPort: 8080}]";
        for (way, more) in WAYS
            .map(|way| (way, ""))
            .into_iter()
            .chain([("NAT", port), ("NAT", ", nat: {masquerade: true}")])
        {
            let (server, others) = match way {
                "NAT" => ("inside1", ["10.0.0.101", "fd00::101"]),
                _ => ("near", ["192.168.0.101", "2001:db8::101"]),
            };
            let both = shares([("director", 2), (server, 2)]);
            let all = servers(&["192.168.0.1", "2001:db8::1", others[0], others[1]]);
            world.apply(&(service(way, more) + &all), &["web"]);
            for vip in World::VIP {
                let web = socket(vip, 80);
                assert_eq!(answers(&client, &web, 4), both, "{vip} {way}{more}");
                for _ in 0..2 {
                    let answer = client.get(&web)?;
                    assert_eq!(answer.seen_local.port(), if more == port { 8080 } else { 80 });
                    // By NAT it is the real server's own address that is asked, here as elsewhere.
                    let is_vip = answer.seen_local.ip().to_string() == vip;
                    assert_eq!(is_vip, way != "NAT", "{answer:?}");
                }
            }
        }
        world.clean_up();
        Ok(())
    });
}

#[test]
fn clients_on_the_machines_meet_whom_the_condition_says() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let [director, near, inside] =
            [&world.director, &world.near, &world.inside[0]].map(Node::clone);
        inside.ip("route add default via 10.0.0.1\nroute add default via fd00::1");
        world.start(&[&director, &near, &inside]);
        let reachable = |world: &World| {
            world.agent(&director).condition("web", "ReachableFromNodes").expect("a condition")
        };
        let nobody = shares([("nobody", 2)]);
        for way in ["DR", "TUN"] {
            world.apply(
                &(service(way, "") + &servers(&["192.168.0.101", "2001:db8::101"])),
                &["web"],
            );
            let (status, told) = reachable(&world);
            assert!(status == "False" && told.starts_with(way), "{told}");
            for (vip, own) in World::VIP.into_iter().zip(["192.168.0.1", "2001:db8::1"]) {
                let web = socket(vip, 80);
                assert_eq!(answers(&director, &web, 2), nobody, "{way}");
                assert_eq!(answers(&near, &web, 2), shares([("near", 2)]), "{way}: itself");
                // With another source it is the reply that does not pass: in IPv4 it bears an address of the director's own.
                let bound = || Client::new(&director).from(&socket(own, 0)).get(&web);
                if vip.contains(':') {
                    assert_eq!(bound()?.server, "near", "{way}");
                    continue;
                }
                assert!(bound().is_err(), "{way}: {:?}", bound());
                let [accept, filter] =
                    ["accept_local", "rp_filter"].map(|name| format!("net.ipv4.conf.eth0.{name}"));
                director.sh(&format!("sysctl -qw {accept}=1 {filter}=2"))?;
                assert_eq!(bound()?.server, "near", "{way}");
                director.sh(&format!("sysctl -qw {accept}=0 {filter}=1"))?;
            }
        }
        let inside_two = servers(&["10.0.0.101", "fd00::101"]);
        for (more, own) in [("", "nobody"), (", nat: {masquerade: true}", "inside1")] {
            world.apply(&(service("NAT", more) + &inside_two), &["web"]);
            let (status, told) = reachable(&world);
            assert_eq!(status == "True", own != "nobody", "{told}");
            for vip in World::VIP {
                let web = socket(vip, 80);
                assert_eq!(answers(&director, &web, 2), shares([("inside1", 2)]), "NAT{more}");
                assert_eq!(answers(&inside, &web, 2), shares([(own, 2)]), "NAT{more}");
            }
        }
        world.clean_up();
        Ok(())
    });
}
