//! NAT with and without the client's address.

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::scenario::{real_server, virtual_service};
use lvs_tests::traffic::shares;
use lvs_tests::wire::{Capture, Packet};

use super::world::{World, answers, socket};

/// Two services, one a family, for the same two machines at port 8080.
fn objects(nat: &str) -> String {
    let [four, six] = World::VIP;
    let ports = "ports: [{port: 80, targetPort: 8080}], forwarding: NAT, scheduler: rr";
    let mut objects =
        vec![virtual_service("web", &format!("addresses: ['{four}', '{six}'], {ports}{nat}"))];
    for host in [101, 102] {
        objects.push(real_server(
            &format!("four{host}"),
            "web",
            &format!("address: 10.0.0.{host}"),
        ));
        objects.push(real_server(
            &format!("six{host}"),
            "web",
            &format!("address: 'fd00::{host}'"),
        ));
    }
    objects.join("---\n")
}

#[test]
fn masquerading_brings_replies_back_by_any_route_and_clients_to_their_own_machine() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut world = World::new();
        let [client, director] = [world.client.clone(), world.director.clone()];
        let inside = world.inside.clone();
        let nodes: Vec<_> = [&director].into_iter().chain(&inside).collect();
        world.start(&nodes);
        let conntrack = || director.read_sysctl("net.ipv4.vs.conntrack");
        let masquerades =
            || Ok::<_, anyhow::Error>(director.sh("nft list ruleset")?.contains("masquerade"));
        let both = shares([("inside1", 2), ("inside2", 2)]);
        let nobody = shares([("nobody", 4)]);

        // Real servers that know no way out of their network.
        world.apply(&objects(""), &["web"]);
        for vip in World::VIP {
            assert_eq!(answers(&client, &socket(vip, 80), 4), nobody, "no way back");
        }
        assert_eq!(conntrack(), "0");
        assert!(!masquerades()?);

        world.apply(&objects(", nat: {masquerade: true}"), &["web"]);
        assert_eq!(conntrack(), "1");
        for (vip, own) in World::VIP.into_iter().zip(["10.0.0.1", "fd00::1"]) {
            let web = socket(vip, 80);
            assert_eq!(answers(&client, &web, 4), both, "{vip}");
            let answer = client.get(&web)?;
            assert_eq!(answer.seen_source.ip().to_string(), own, "the director's");
            assert_eq!(answer.seen_local.port(), 8080);
        }

        // A way to the VIP is all that they need to be its clients.
        for node in &inside {
            node.ip(
                "route add 192.168.0.10/32 via 10.0.0.1\nroute add 2001:db8::10/128 via fd00::1",
            );
        }
        for vip in World::VIP {
            for node in [&inside[0], &inside[1], &director] {
                assert_eq!(answers(node, &socket(vip, 80), 4), both, "{vip} from {}", node.name());
            }
        }

        // And not without: the same machines, and the client has a way back now.
        for node in &inside {
            node.ip("route add 192.168.0.0/24 via 10.0.0.1\nroute add 2001:db8::/64 via fd00::1");
        }
        world.apply(&objects(""), &["web"]);
        assert_eq!(conntrack(), "0");
        assert!(!masquerades()?, "that part of the table went with its last element");
        for (vip, own) in World::VIP.into_iter().zip(["192.168.0.50", "2001:db8::50"]) {
            let web = socket(vip, 80);
            assert_eq!(answers(&client, &web, 4), both);
            assert_eq!(client.get(&web)?.seen_source.ip().to_string(), own, "the client's");
            assert_eq!(answers(&inside[0], &web, 4), nobody, "replies go past the director");
        }
        for node in &inside {
            node.ip("route del 192.168.0.0/24\nroute del 2001:db8::/64\nroute del 192.168.0.10/32\nroute del 2001:db8::10/128");
        }
        world.apply(&objects(", nat: {masquerade: true}"), &["web"]);
        world.clean_up();
        assert_eq!(conntrack(), "0");
        Ok(())
    });
}

/// The docs' warning of one link for all.
#[test]
fn on_one_link_redirects_lead_replies_past_the_director_unless_it_masquerades() {
    in_guest(Guest::kernel().virtual_time(), || {
        let mut world = World::new();
        let [client, director, near] =
            [&world.client, &world.director, &world.near].map(Clone::clone);
        near.ip("route add 2001:db8::50/128 via 2001:db8::1");
        world.start(&[&director, &near]);
        let objects = |nat: &str| {
            let vip = World::VIP[1];
            let spec = format!("addresses: ['{vip}'], forwarding: NAT{nat}");
            let server = real_server("near", "web", "address: '2001:db8::101'");
            format!("{}---\n{server}", virtual_service("web", &spec))
        };
        let web = socket(World::VIP[1], 80);
        world.apply(&objects(""), &["web"]);
        let capture = Capture::start(&near);
        assert_eq!(answers(&client, &web, 2), shares([("nobody", 2)]));
        // RFC 4861, 4.5
        let is_redirect = |packet: &Packet| matches!(packet, Packet::Ip { protocol: 58, payload, .. } if payload.first() == Some(&137));
        assert!(capture.frames().iter().any(|frame| is_redirect(&frame.packet)));
        world.apply(&objects(", nat: {masquerade: true}"), &["web"]);
        assert_eq!(answers(&client, &web, 2), shares([("near", 2)]));
    });
}
