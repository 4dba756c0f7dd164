//! Example 3: two directors, one of which loses its cables. From files, in a guest of its own, whose time is virtual where the
//! kernel can do that.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lvs_crds::DirectorGroup;
use lvs_resolve::spread::{Floating, Spread};
use lvs_tests::scenario::Directors;
use lvs_tests::traffic::{Attempt, Held, Probe, Server, longest_silence};

use crate::patience::within;
use crate::stage::{Stage, show};

const VIP: &str = "192.168.0.10";
const SERVICE: &str = "192.168.0.10:80";
const HELD: usize = 20;
/// Between two attempts of the client.
const EVERY: Duration = Duration::from_millis(10);
/// After that a connection is known to the other director, whether or not anything is sent on it.
const KNOWN: Duration = Duration::from_secs(4);
/// For tests: the name of a director that is told of the group this much before the other, as a race may have it.
const FIRST: (&str, Duration) = ("LVS_DEMO_FIRST", Duration::from_secs(3));

const PICTURE: &str = "\
client 192.168.0.50 --+-- eth0 lvs1 eth1 --+-- rs1 10.0.0.101:8080
                      +-- eth0 lvs2 eth1 --+-- rs2 10.0.0.102:8080
floating: VIP 192.168.0.10 on eth0, the real servers' gateway 10.0.0.254 on eth1";

const GROUP: &str = "\
apiVersion: kube-lvs.io/v1alpha1
kind: DirectorGroup
metadata: {name: default}
spec:
  members:
  - {node: lvs1, addresses: [10.0.0.1]}
  - {node: lvs2, addresses: [10.0.0.2]}
  natGateways: [{address: 10.0.0.254/16}]
  failover: {preemptDelaySeconds: 5}
";

const OBJECTS: &str = "\
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata: {name: web}
spec:
  addresses: [192.168.0.10]
  ports: [{port: 80, targetPort: 8080}]
  scheduler: rr
  forwarding: NAT
  realServers: {selector: {matchLabels: {app: web}}}
---
apiVersion: kube-lvs.io/v1alpha1
kind: RealServer
metadata: {name: rs1, labels: {app: web}}
spec: {address: 10.0.0.101}
---
apiVersion: kube-lvs.io/v1alpha1
kind: RealServer
metadata: {name: rs2, labels: {app: web}}
spec: {address: 10.0.0.102}
";

pub(crate) fn play(stage: Stage) -> anyhow::Result<()> {
    stage.part("Failover: two directors, and one loses its cables");
    stage.say("From files, each director by itself: no API server that could be asked.");
    stage.say(PICTURE);
    let mut net = Directors::nat(2, 2);
    net.listen(Server::tcp, "0.0.0.0:8080");
    tell_of_the_group(&net);
    let folder = net.agents[0].folder().display().to_string();
    show(stage, &net.nodes[0], &format!("cat {folder}/group.yaml   # the same on lvs2"))?;
    fail_over(stage, &net).inspect_err(|_| {
        stage.output(&seen(&net));
    })
}

fn tell_of_the_group(net: &Directors) {
    let first = std::env::var(FIRST.0).ok();
    let is_first = |index: usize| first.as_deref() == Some(net.nodes[index].name());
    let mut order: Vec<usize> = (0..net.agents.len()).collect();
    order.sort_by_key(|index| !is_first(*index));
    for index in order {
        net.agents[index].put("group.yaml", GROUP);
        net.agents[index].put("web.yaml", OBJECTS);
        if is_first(index) {
            sleep(FIRST.1);
        }
    }
}

fn fail_over(stage: Stage, net: &Directors) -> anyhow::Result<()> {
    let first = at_home(stage, net)?;
    let second = 1 - first;
    let complete = || {
        let service = net.nodes[second].service(SERVICE);
        service.filter(|it| it.destinations.len() == 2).map(|_| ()).ok_or("the service is missing")
    };
    within("the other director is ready", complete)?;
    // What a director held that had not heard of the other yet is given up by then.
    sleep(KNOWN);
    holds(stage, net, first)?;

    stage.act("client", &format!("{HELD} connections, which stay open"));
    let mut held: Vec<Held> = Vec::new();
    for _ in 0..HELD {
        let mut connection = net.client.hold(SERVICE)?;
        connection.ask()?;
        held.push(connection);
    }
    sleep(KNOWN);
    let name = net.nodes[first].name();
    stage.act("client", "a new connection each 10 ms");
    stage.act(name, "both cables are pulled");
    let attempts = under_load(net, || {
        net.unplug(first);
        sleep(Duration::from_secs(2));
        Ok(())
    })?;
    tell(stage, &attempts)?;
    within(&format!("{} has the VIP", net.nodes[second].name()), || is_at(net, second))?;
    holds(stage, net, second)?;
    go_on(stage, &mut held)?;

    stage.act(name, "the cables are back; it waits 5 s (preemptDelaySeconds), then takes over");
    let attempts = under_load(net, || {
        net.plug(first);
        within("the VIP is back home", || is_at(net, first))
    })?;
    tell(stage, &attempts)?;
    holds(stage, net, first)?;
    go_on(stage, &mut held)
}

/// Waits until the director that is home to the VIP has it. Another that was ready before it may have been first.
fn at_home(stage: Stage, net: &Directors) -> anyhow::Result<usize> {
    let home = within("an agent knows whose home the VIP is", || {
        home(net).map_err(|error| format!("{error:#}"))
    })?;
    let first = within("a director has the VIP", || {
        let holders = net.holders(VIP);
        if let [one] = holders[..] { Ok(one) } else { Err(holders) }
    })?;
    let (name, other) = (net.nodes[home].name(), net.nodes[first].name());
    if first != home {
        stage.say(&format!("{other} was ready first. {name}, whose home the VIP is, waits 5 s (preemptDelaySeconds)."));
    }
    within(&format!("{name} has the VIP, whose home it is"), || is_at(net, home))?;
    Ok(home)
}

/// As an agent without a cluster works it out. All that floats here floats with the gateway.
fn home(net: &Directors) -> anyhow::Result<usize> {
    let status = net.agents[0].status();
    let mut items = status["items"].as_array().into_iter().flatten();
    let group = items.find(|item| item["kind"] == "DirectorGroup").context("no DirectorGroup")?;
    let group: DirectorGroup = serde_json::from_value(group.clone())?;
    let spread = Spread::new(&group).context("one director alone")?;
    let router = spread.router_of(Floating::NatGateway).context("no virtual router")?;
    let home = net.nodes.iter().position(|node| node.name() == router.home);
    home.with_context(|| format!("{} is nobody here", router.home))
}

fn is_at(net: &Directors, director: usize) -> Result<(), String> {
    let holders = net.holders(VIP);
    if holders == [director] {
        return Ok(());
    }
    let names: Vec<_> = holders.iter().map(|index| net.nodes[*index].name()).collect();
    Err(format!("it is at {names:?}"))
}

/// What there is to see when something did not come.
fn seen(net: &Directors) -> String {
    let pairs = net.nodes.iter().zip(&net.agents);
    let texts = pairs.map(|(node, agent)| {
        let log = agent.log();
        let lines: Vec<_> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n");
        format!(
            "--- {}: {}\n{last}\n",
            node.name(),
            node.addresses().into_iter().collect::<Vec<_>>().join(", ")
        )
    });
    texts.collect()
}

/// Where both addresses are, by the kernel of who is to have them.
fn holds(stage: Stage, net: &Directors, director: usize) -> anyhow::Result<()> {
    let words = format!(
        "ip -brief -4 address show | grep -o '{VIP}/[0-9]*\\|{}/[0-9]*'",
        Directors::GATEWAY
    );
    show(stage, &net.nodes[director], &words)
}

fn under_load(
    net: &Directors,
    event: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Attempt>, Instant)> {
    let probe = Probe::start(&net.client, SERVICE, EVERY);
    sleep(Duration::from_millis(500));
    let since = Instant::now();
    let done = event();
    sleep(Duration::from_millis(500));
    let attempts = probe.end();
    done.map(|()| (attempts, since))
}

/// How many attempts were not answered, and for how long none was.
fn tell(stage: Stage, (attempts, since): &(Vec<Attempt>, Instant)) -> anyhow::Result<()> {
    // Those of the last moments may be answered yet.
    let settled = attempts.len().saturating_sub(50);
    let settled = attempts.iter().take(settled);
    let lost = settled.filter(|attempt| attempt.answered.is_none()).count();
    let Some((begin, end)) = longest_silence(attempts, *since) else {
        anyhow::bail!("nobody answers any more, {lost} of {} attempts are lost", attempts.len());
    };
    stage.say(&format!(
        "{} connections begun, {lost} lost; longest time without an answer: {} ms",
        attempts.len(),
        (end - begin).as_millis()
    ));
    Ok(())
}

fn go_on(stage: Stage, held: &mut [Held]) -> anyhow::Result<()> {
    for connection in held.iter_mut() {
        connection.ask()?;
    }
    stage.say(&format!("All {} held connections go on.", held.len()));
    Ok(())
}
