//! What goes wrong, and what the user is told; meanwhile a good service keeps serving.

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::control_plane::program;
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};
use lvs_tests::table::Service;
use lvs_tests::traffic::Server;
use lvs_tests::wait_for;

const GOOD_VIP: &str = "10.0.0.10";
const GOOD: &str = "10.0.0.10:80";
/// What the guest's modprobe reads.
const MODULES: &str = "/run/bed/modprobe.conf";

#[test]
fn each_mistake_has_its_message_and_disturbs_nobody() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(400));
    in_guest(guest, || -> anyhow::Result<()> {
        let good = Good::new();
        good.cluster.wait_for("virtualservice/good", "Available");
        let table = good.table();
        what_one_object_gets_wrong_is_refused_at_once(&good);
        good.serves_as_before(&table);
        a_virtual_service_that_clashes_is_not_accepted(&good);
        good.serves_as_before(&table);
        real_servers_that_cannot_be_used_are_left_out_with_a_reason(&good);
        good.serves_as_before(&table);
        what_a_newer_version_wrote_stops_nobody_else(&good)?;
        good.serves_as_before(&table);
        a_group_without_a_node_says_so(&good);
        good.serves_as_before(&table);
        Ok(())
    });
}

/// A service that works.
struct Good {
    cluster: Cluster,
    director: Node,
    other: Node,
    client: Node,
    _web: Server,
}

impl Good {
    fn new() -> Good {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "10.0.0.1/24");
        let other = Node::new("other").on(&lan, "eth0", "10.0.0.2/24");
        let client = Node::new("client").on(&lan, "eth0", "10.0.0.50/24");
        let web = Server::tcp(&director, "0.0.0.0:80", "director");
        let mut cluster = Cluster::start();
        cluster.add_director(&director);
        cluster.add_node(&other);
        cluster.apply(&director_group("default", "networks: [{cidr: 10.0.0.0/24}]"));
        cluster.apply(&virtual_service("good", &format!("addresses: [{GOOD_VIP}]")));
        cluster.apply(&real_server("good-1", "good", "address: 10.0.0.1"));
        Good { cluster, director, other, client, _web: web }
    }

    /// The table without what changes by itself.
    fn table(&self) -> Vec<Service> {
        let mut table = self.director.services();
        for destination in table.iter_mut().flat_map(|service| &mut service.destinations) {
            (destination.active, destination.inactive) = (0, 0);
        }
        table
    }

    #[track_caller]
    fn serves_as_before(&self, table: &[Service]) {
        // What was deleted a moment ago is on its way out.
        let settled = |seen: &Vec<Service>| seen == table;
        eventually("the table is as it was", Duration::from_secs(20), || self.table(), settled);
        assert_eq!(self.client.get(GOOD).expect("the good service").server, "director");
        assert_eq!(self.cluster.condition("virtualservice/good", "Available").status, "True");
    }
}

fn what_one_object_gets_wrong_is_refused_at_once(good: &Good) {
    let service = |spec: &str| virtual_service("bad", spec);
    std::fs::write("/tmp/bad.yaml", service("addresses: [300.0.0.1]")).expect("a manifest");
    let said = good.cluster.kubectl("apply -f /tmp/bad.yaml").expect_err("it is refused");
    let said = said.to_string();
    assert!(said.contains("VirtualService \"bad\" is invalid: spec.addresses[0]"), "{said}");

    let server = |spec: &str| real_server("bad", "bad", spec);
    let persistent =
        |mask: &str| format!("addresses: [\"2001:db8::1\"], persistence: {{ipv4Netmask: {mask}}}");
    for (mistake, manifest, told) in [
        (
            "no address",
            service("addresses: [300.0.0.1]"),
            vec!["spec.addresses[0]", "not an IP address"],
        ),
        ("loopback VIP", service("addresses: [127.0.0.1]"), vec!["spec.addresses[0]", "loopback"]),
        (
            "targetPort with DR",
            service("addresses: [10.0.0.20], ports: [{port: 80, targetPort: 8080}]"),
            vec!["spec.ports", "DR cannot translate ports", "forwarding: NAT"],
        ),
        (
            "unknown scheduler",
            service("addresses: [10.0.0.20], scheduler: wrong"),
            vec!["spec.scheduler", "\"wrong\"", "\"wlc\""],
        ),
        (
            "netmask of another family",
            service(&persistent("255.255.255.0")),
            vec!["spec.persistence.ipv4Netmask", "has anything of IPv4"],
        ),
        (
            "a netmask that is none",
            service(&persistent("255.0.255.0")),
            vec!["ipv4Netmask", "not a netmask"],
        ),
        (
            "weight -1",
            server("address: 10.0.0.20, weight: -1"),
            vec!["spec.weight", "greater than or equal to 0"],
        ),
        (
            "weight 65536",
            server("address: 10.0.0.20, weight: 65536"),
            vec!["spec.weight", "less than or equal to 65535"],
        ),
        ("neither", server("weight: 1"), vec!["spec", "exactly one of address and nodeName"]),
        (
            "both",
            server("address: 10.0.0.20, nodeName: other"),
            vec!["spec", "exactly one of address and nodeName"],
        ),
        ("loopback", server("address: 127.0.0.1"), vec!["spec.address", "loopback"]),
    ] {
        let said = good.cluster.refused(&manifest);
        for words in told {
            assert!(said.contains(words), "{mistake}: {words:?} is missing in: {said}");
        }
    }
}

fn a_virtual_service_that_clashes_is_not_accepted(good: &Good) {
    let cluster = &good.cluster;
    cluster.apply(&director_group(
        "closed",
        r#"nodeSelector: {matchLabels: {nobody: has}}, allowedNamespaces: {matchLabels: {admitted: "true"}}"#,
    ));
    for (name, spec, reason, told) in [
        (
            "taken",
            format!("addresses: [{GOOD_VIP}]"),
            "AddressConflict",
            vec!["10.0.0.10", "TCP/80", "default/good"],
        ),
        (
            "no-group",
            "addresses: [10.0.0.20], directorGroup: missing".to_owned(),
            "NoSuchDirectorGroup",
            vec!["spec.directorGroup", "missing"],
        ),
        (
            "not-admitted",
            "addresses: [10.0.0.20], directorGroup: closed".to_owned(),
            "NamespaceNotAllowed",
            vec!["DirectorGroup closed", "namespace default"],
        ),
        (
            "a-node",
            "addresses: [10.0.0.2]".to_owned(),
            "AddressOfNode",
            vec!["10.0.0.2", "node other"],
        ),
    ] {
        cluster.apply(&virtual_service(name, &spec));
        let object = format!("virtualservice/{name}");
        cluster.wait_for(&object, "Accepted=False");
        let condition = cluster.condition(&object, "Accepted");
        assert_eq!(condition.reason, reason, "{condition:?}");
        for words in told {
            assert!(condition.message.contains(words), "{words:?} is missing in {condition:?}");
        }
        for type_ in ["Programmed", "Available"] {
            assert_eq!(cluster.condition(&object, type_).status, "False", "{name}: {type_}");
        }
        cluster.delete(&object);
    }
}

fn real_servers_that_cannot_be_used_are_left_out_with_a_reason(good: &Good) {
    let cluster = &good.cluster;
    cluster.apply(&director_group("fenced", "realServerCIDRs: [10.9.0.0/24]"));
    cluster.apply(&virtual_service("empty", "addresses: [10.0.0.20]"));
    cluster.wait_for("virtualservice/empty", "Available=False");
    cluster.wait_for("virtualservice/empty", "Resolved");
    let available = cluster.condition("virtualservice/empty", "Available");
    assert_eq!(available.reason, "NoRealServers");
    assert!(available.message.contains("spec.realServers.selector"), "{available:?}");

    for (name, group, server, reason, told) in [
        ("ghost", "default", "nodeName: ghost", "NoSuchNode", vec!["spec.nodeName", "ghost"]),
        (
            "outside",
            "fenced",
            "address: 10.0.0.2",
            "OutsideRealServerCIDRs",
            vec!["10.0.0.2", "realServerCIDRs", "fenced"],
        ),
    ] {
        cluster.apply(&virtual_service(
            name,
            &format!("addresses: [10.0.0.21], directorGroup: {group}"),
        ));
        cluster.apply(&real_server(name, name, server));
        let object = format!("virtualservice/{name}");
        cluster.wait_for(&object, "Resolved=False");
        cluster.wait_for(&object, "Available=False");
        let resolved = cluster.condition(&object, "Resolved");
        for words in &told {
            assert!(resolved.message.contains(words), "{words:?} is missing in {resolved:?}");
        }
        let own = cluster.condition(&format!("realserver/{name}"), "Resolved");
        assert_eq!((own.status.as_str(), own.reason.as_str()), ("False", reason), "{own:?}");
        cluster.delete(&object);
        cluster.delete(&format!("realserver/{name}"));
    }
    cluster.delete("virtualservice/empty");
    cluster.delete("directorgroup/fenced");
}

/// Its API has a scheduler that this operator and this agent have never heard of.
fn what_a_newer_version_wrote_stops_nobody_else(good: &Good) -> anyhow::Result<()> {
    let cluster = &good.cluster;
    let before = good.table();
    let add = |name: &str, host: u8| {
        cluster.apply(&virtual_service(name, &format!("addresses: [10.0.0.{host}]")));
        cluster.apply(&real_server(&format!("{name}-1"), name, "address: 10.0.0.2"));
        cluster.wait_for(&format!("virtualservice/{name}"), "Programmed");
    };
    add("odd", 30);
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    for (kind, field) in [
        ("virtualservices", "scheduler"),
        ("virtualserviceslices", "services/items/properties/scheduler"),
    ] {
        let patch =
            format!(r#"[{{"op": "add", "path": "{spec}/{field}/enum/-", "value": "psychic"}}]"#);
        let crd = format!("crd/{kind}.kube-lvs.io");
        cluster.plane.kubectl(&["patch", &crd, "--type=json", "-p", &patch])?;
    }
    let slices = cluster.kubectl("get lvsslice -o name")?;
    let slice = slices.lines().find(|name| name.contains("/odd")).expect("a slice");
    let write = |object: &str, field: &str, scheduler: &str| {
        let patch =
            format!(r#"[{{"op": "replace", "path": "/spec/{field}", "value": "{scheduler}"}}]"#);
        // The API server takes a moment to see its own new schema.
        wait_for(&format!("{object} may be {scheduler}"), Duration::from_secs(30), || {
            cluster.plane.kubectl(&["patch", object, "--type=json", "-p", &patch]).map_err(drop)
        });
    };
    write(slice, "services/0/scheduler", "psychic");
    add("next", 31);
    cluster.wait_for("virtualservice/odd", "Programmed=False");
    let told = cluster.condition("virtualservice/odd", "Programmed").message;
    for words in ["Unreadable", slice.rsplit('/').next().unwrap_or_default(), "psychic", "update"] {
        assert!(told.contains(words), "{words:?} is missing in {told}");
    }
    assert_eq!(good.director.service("10.0.0.30:80").expect("as it was").scheduler, "wlc");
    write(slice, "services/0/scheduler", "rr");
    cluster.wait_for("virtualservice/odd", "Programmed");

    let object = "virtualservice/next";
    cluster.patch(object, r#"[{"op": "add", "path": "/spec/scheduler", "value": "psychic"}]"#);
    add("third", 32);
    assert!(good.director.service("10.0.0.31:80").is_some(), "as it was");
    for name in ["odd", "next", "third"] {
        cluster.delete(&format!("virtualservice/{name}"));
        cluster.delete(&format!("realserver/{name}-1"));
    }
    wait_for("they are gone", Duration::from_secs(30), || {
        let table = good.table();
        if table == before { Ok(()) } else { Err(table) }
    });
    Ok(())
}

fn a_group_without_a_node_says_so(good: &Good) {
    let cluster = &good.cluster;
    cluster.apply(&director_group("nobody", "nodeSelector: {matchLabels: {nobody: has}}"));
    cluster.wait_for("directorgroup/nobody", "Ready=False");
    let ready = cluster.condition("directorgroup/nobody", "Ready");
    assert_eq!(ready.reason, "NoDirector");
    assert!(ready.message.contains("spec.nodeSelector"), "{ready:?}");
    cluster.delete("directorgroup/nobody");
}

#[test]
fn a_module_that_the_kernel_lacks_is_named_and_nothing_but_it_is_needed() {
    let guest = Guest::control_plane().on_debian().limit(Duration::from_secs(300));
    let guest = guest.without_module("ip_vs").without_module("ip_vs_lblcr");
    in_guest(guest, || -> anyhow::Result<()> {
        let good = Good::new();
        let told = |object: &str, words: &[&str]| {
            good.cluster.wait_for(object, "Programmed=False");
            wait_for(&format!("{object} says {words:?}"), Duration::from_secs(30), || {
                let condition = good.cluster.condition(object, "Programmed");
                let all = words.iter().all(|word| condition.message.contains(word));
                if all { Ok(()) } else { Err(condition.message) }
            });
        };
        told("virtualservice/good", &["director", "IPVS", "ip_vs"]);
        assert!(
            !good.director.addresses().contains("eth0 10.0.0.10/24"),
            "no VIP without its service"
        );

        // Its admin installs the one, and not yet the other.
        std::fs::write(MODULES, "install ip_vs_lblcr /bin/false\n")?;
        good.cluster.wait_for("virtualservice/good", "Programmed");
        let table = good.table();
        assert_eq!(table.len(), 1);
        good.serves_as_before(&table);
        let spec = "addresses: [10.0.0.11], scheduler: lblcr";
        good.cluster.apply(&virtual_service("cache", spec));
        good.cluster.apply(&real_server("cache-1", "cache", "address: 10.0.0.2"));
        told("virtualservice/cache", &["director", "lblcr", "ip_vs_lblcr"]);
        good.serves_as_before(&table);

        std::fs::write(MODULES, "")?;
        good.cluster.wait_for("virtualservice/cache", "Programmed");
        without_the_right_to_change_the_network_it_says_so(&good.other)
    });
}

/// With status 3, and at once.
fn without_the_right_to_change_the_network_it_says_so(node: &Node) -> anyhow::Result<()> {
    let agent = program("lvs-agent");
    let output = node
        .command("setpriv")
        .args(["--inh-caps=-net_admin", "--bounding-set=-net_admin"])
        .arg(agent)
        .args(["--manifests", "/tmp", "--state-dir", "/tmp/powerless"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("CAP_NET_ADMIN") && said.contains("run as root or grant"), "{said}");
    Ok(())
}
