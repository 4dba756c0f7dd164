//! Example 3: two directors, one of which loses its cables. From files, in a guest of its own, whose time is virtual where the
//! kernel can do that.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use lvs_tests::scenario::Directors;
use lvs_tests::traffic::{Attempt, Held, Probe, Server, longest_silence};
use lvs_tests::wait_for;

use crate::stage::{Stage, show};

const VIP: &str = "192.168.0.10";
const SERVICE: &str = "192.168.0.10:80";
const HELD: usize = 20;
/// Between two attempts of the client.
const EVERY: Duration = Duration::from_millis(10);
/// After that a connection is known to the other director, whether or not anything is sent on it.
const KNOWN: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(30);

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
    for agent in &net.agents {
        agent.put("group.yaml", GROUP);
        agent.put("web.yaml", OBJECTS);
    }
    let folder = net.agents[0].folder().display().to_string();
    show(stage, &net.nodes[0], &format!("cat {folder}/group.yaml   # the same on lvs2"))?;
    let first = net.holder(VIP);
    let second = 1 - first;
    let complete = || {
        let service = net.nodes[second].service(SERVICE);
        service.filter(|it| it.destinations.len() == 2).map(|_| ()).ok_or("the service is missing")
    };
    wait_for("the other director is ready", PATIENCE, complete);
    // What a director held that had not heard of the other yet is given up by then.
    sleep(KNOWN);
    holds(stage, &net, first)?;

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
    let attempts = under_load(&net, || {
        net.unplug(first);
        sleep(Duration::from_secs(2));
        Ok(())
    })?;
    tell(stage, &attempts)?;
    let now = net.holder(VIP);
    ensure!(now == second, "{} has the VIP still", net.nodes[now].name());
    holds(stage, &net, second)?;
    go_on(stage, &mut held)?;

    stage.act(name, "the cables are back; it waits 5 s (preemptDelaySeconds), then takes over");
    let attempts = under_load(&net, || {
        net.plug(first);
        wait_for("the VIP is back home", PATIENCE, || match net.holders(VIP) {
            holders if holders == [first] => Ok(()),
            holders => Err(holders),
        });
        Ok(())
    })?;
    tell(stage, &attempts)?;
    holds(stage, &net, first)?;
    go_on(stage, &mut held)
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
