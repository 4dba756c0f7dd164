//! Real servers that die, lie and come back: from when on they get no connections, and that every director knows.

#[path = "health/api.rs"]
mod api;
#[path = "health/nginx.rs"]
mod nginx;

use std::thread::sleep;
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::Node;
use lvs_tests::scenario::{Directors, Standalone, virtual_service};
use lvs_tests::traffic::{Attempt, Probe, Server};

use nginx::Nginx;

const VIP: &str = "192.168.0.10";
const WEB: &str = "192.168.0.10:80";
/// Between two attempts of a client.
const EVERY: Duration = Duration::from_millis(10);
/// From a death to the first moment from which no new connection goes there.
const PROMISE: Duration = Duration::from_secs(1);
/// One that flaps has to pass for eight times as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two directors and so many real servers behind their floating gateway, asked as `check` says; `start` has them serve.
fn farm(servers: usize, check: &str, start: impl FnOnce(&mut Directors)) -> Directors {
    let mut net = Directors::nat(2, servers);
    start(&mut net);
    serve(&mut net, check);
    net.holder(VIP);
    net
}

fn serve(net: &mut Directors, check: &str) {
    let spec = format!(
        "addresses: [{VIP}], forwarding: NAT, scheduler: rr, ports: [{{port: 80, targetPort: 8080}}], healthCheck: {{{check}}}"
    );
    let mut objects = net.real_servers(false, "weight: 1");
    objects.push(virtual_service("web", &spec));
    net.apply("", &objects);
}

/// The last numbers of the real servers' addresses that a director sends new connections to.
fn table(node: &Node) -> Vec<String> {
    let services = node.services();
    let web = services.iter().find(|service| service.address == WEB);
    let destinations = web.into_iter().flat_map(|service| &service.destinations);
    let open = destinations.filter(|it| it.weight > 0);
    let mut found: Vec<String> = open
        .filter_map(|it| Some(it.address.rsplit_once(':')?.0.rsplit_once('.')?.1.to_owned()))
        .collect();
    found.sort();
    found
}

/// Waits until each director has these in its table.
#[track_caller]
fn all_have(net: &Directors, wanted: &[&str]) {
    for node in &net.nodes {
        let what = format!("{} sends to {wanted:?}", node.name());
        eventually(&what, PATIENCE, || table(node), |found| found == wanted);
    }
}

/// Requests of IPVS to each director's kernel so far, and among them those that took a destination out.
fn requests(net: &Directors) -> Vec<(f64, f64)> {
    let of = |agent: &Standalone| {
        let all = agent.metric("lvs_agent_kernel_requests_total", "kind=\"ipvs\"");
        let out = agent.metric("lvs_agent_operations_total", "kind=\"delete_destination\"");
        (all, out)
    };
    net.agents.iter().map(of).collect()
}

/// From `since` until the last attempt that failed was begun, of those begun before `until`.
fn until_nothing_failed(attempts: &[Attempt], since: Instant, until: Instant) -> Duration {
    let within = attempts.iter().filter(|it| it.begun >= since && it.begun < until);
    let failed = within.filter(|it| it.answered.is_none()).map(|it| it.begun);
    failed.max().map_or(Duration::ZERO, |last| last - since)
}

/// Deaths of so many real servers, one after the other, every second of them silent. Prints and returns the longest time that new
/// connections went to one that was refusing, and to one that was silent.
fn longest(check: &str, deaths: usize, wait: Duration) -> (Duration, Duration) {
    let start = |net: &Directors, index: usize| {
        Some(Server::tcp(&net.servers[index], "0.0.0.0:8080", "rs"))
    };
    let mut programs: Vec<Option<Server>> = Vec::new();
    let net = farm(3, check, |net| programs.extend((0..3).map(|it| start(net, it))));
    all_have(&net, &["101", "102", "103"]);
    let probe = Probe::start(&net.client, WEB, EVERY);
    let mut died = Vec::new();
    for number in 0..deaths {
        let (index, silent) = (number % 3, number % 2 == 1);
        let since = Instant::now();
        if silent {
            net.servers[index].unplug("eth0");
        } else {
            programs[index] = None;
        }
        sleep(wait);
        died.push((since, Instant::now(), silent));
        if silent {
            net.servers[index].plug("eth0");
            net.servers[index].ip("route replace default via 10.0.0.254");
        } else {
            programs[index] = start(&net, index);
        }
        all_have(&net, &["101", "102", "103"]);
    }
    let attempts = probe.end();
    let [refusing, silent] = [false, true].map(|silent| {
        let of = died.iter().filter(|death| death.2 == silent);
        let mut took: Vec<Duration> =
            of.map(|(since, until, _)| until_nothing_failed(&attempts, *since, *until)).collect();
        took.sort();
        let (last, middle) = (took[took.len() - 1], took[took.len() / 2]);
        println!(
            "{check}, silent {silent}: {} deaths, median {middle:?}, longest {last:?}",
            took.len()
        );
        // It was alive, and it was dead.
        assert!(took[0] > Duration::ZERO, "{took:?}");
        last
    });
    (refusing, silent)
}

#[test]
fn no_new_connection_goes_to_a_dead_server_after_a_second() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(420));
    in_guest(guest, || -> anyhow::Result<()> {
        let (refusing, silent) = longest("tcp: {}", 60, Duration::from_secs(2));
        assert!(refusing <= PROMISE && silent <= PROMISE, "{refusing:?}, {silent:?}");
        Ok(())
    });
}

#[test]
fn with_the_shortest_interval_it_is_a_fifth_of_a_second() {
    let guest = Guest::kernel().virtual_time().limit(Duration::from_secs(420));
    in_guest(guest, || -> anyhow::Result<()> {
        let check = "tcp: {}, intervalMilliseconds: 50, timeoutMilliseconds: 50, fall: 2";
        let (refusing, silent) = longest(check, 40, Duration::from_secs(1));
        assert!(refusing <= PROMISE / 5 && silent <= PROMISE / 5, "{refusing:?}, {silent:?}");
        Ok(())
    });
}

#[test]
fn who_takes_over_knows_who_is_dead() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let listen = |net: &mut Directors| net.listen(Server::tcp, "0.0.0.0:8080");
        let mut net = farm(2, "tcp: {}", listen);
        all_have(&net, &["101", "102"]);
        let before = requests(&net);
        net.servers[1].sh(
            "nft 'add table ip dead; add chain ip dead c { type filter hook input priority 0; }; \
                           add rule ip dead c tcp dport 8080 reject with tcp reset'",
        )?;
        all_have(&net, &["101"]);
        sleep(Duration::from_secs(1));
        let now = requests(&net);
        let spent = now.iter().zip(&before).map(|(now, was)| (now.0 - was.0, now.1 - was.1));
        let spent: Vec<(f64, f64)> = spent.collect();
        println!(
            "requests of IPVS for a death, and changes among them, on each director: {spent:?}"
        );
        // One change, and the service and its destinations read back.
        assert_eq!(spent, [(3.0, 1.0); 2]);
        let first = net.holder(VIP);
        net.agents[first].kill();
        net.unplug(first);
        sleep(Duration::from_secs(1));
        let second = net.holder(VIP);
        assert_ne!(first, second);
        let shares = net.client.shares(WEB, 8)?;
        assert_eq!(shares, [("rs1".to_owned(), 8)].into());
        Ok(())
    });
}

#[test]
fn a_restarted_agent_does_not_bring_a_dead_server_back() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let listen = |net: &mut Directors| net.listen(Server::tcp, "0.0.0.0:8080");
        let mut net = farm(2, "tcp: {}", listen);
        all_have(&net, &["101", "102"]);
        net.servers[1].unplug("eth0");
        all_have(&net, &["101"]);
        let director = net.nodes[0].clone();
        for _ in 0..3 {
            net.agents[0].kill();
            sleep(Duration::from_millis(300));
            net.agents[0].run();
            let until = Instant::now() + Duration::from_secs(2);
            while Instant::now() < until {
                assert_eq!(table(&director), ["101"]);
                sleep(Duration::from_millis(20));
            }
        }
        net.servers[1].plug("eth0");
        all_have(&net, &["101", "102"]);
        Ok(())
    });
}

#[test]
fn a_web_server_is_judged_by_its_answer() {
    in_guest(Guest::kernel().virtual_time(), || -> anyhow::Result<()> {
        let mut web: Vec<Nginx> = Vec::new();
        let check = "http: {path: /healthz, bodyRegex: ^ok}";
        let mut net = farm(2, check, |net| web.extend(net.servers.iter().map(Nginx::start)));
        all_have(&net, &["101", "102"]);
        let told = |part: &str| net.agents[0].wait_for_told("web", "Degraded", "True", part);
        web[1].put("healthz", "starting");
        all_have(&net, &["101"]);
        told("RealServer rs2-v4 is down: ");
        web[1].put("healthz", "ok");
        all_have(&net, &["101", "102"]);
        net.agents[0].wait_for("web", "Degraded", "False");
        web[1].remove("healthz");
        all_have(&net, &["101"]);
        told("HTTP 404 in ");
        web[1].put("healthz", "ok");
        all_have(&net, &["101", "102"]);
        web[1].kill();
        all_have(&net, &["101"]);
        told("connection refused, 3 of 3");
        // Of this one the other director may have the VIP: it has nothing to say then of clients.
        web[0].kill();
        all_have(&net, &[]);
        told("RealServer rs1-v4 is down");
        let lines = net.agents[0].log();
        assert!(lines.contains("real server is down: connection refused"), "{lines}");
        assert!(lines.contains("real server is up again"), "{lines}");
        for node in &mut web {
            node.run();
        }
        all_have(&net, &["101", "102"]);
        // In place of it, another answer to what failure means.
        serve(&mut net, "http: {path: /healthz}, onFailure: Inhibit");
        web[1].kill();
        all_have(&net, &["101"]);
        let services = net.nodes[0].services();
        let service = services.iter().find(|it| it.address == WEB).expect("the service");
        assert_eq!(service.destinations.len(), 2, "{service:#?}");
        Ok(())
    });
}
