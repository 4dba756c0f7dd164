//! What a user of the cluster has: pods that serve by direct routing, machines outside that serve behind NAT, clients.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;

use super::{Kubernetes, PATIENCE, TEST_IMAGE};
use crate::net::Node;
use crate::traffic::Server;
use crate::wait_for;
use crate::wire::Capture;

/// The VIP whose real servers are pods on `node2` and `node3`.
pub const DIRECT: &str = "10.70.0.100:80";
/// The VIP whose real servers `out1` and `out2` are no part of the cluster.
pub const NAT: &str = "10.70.0.101:80";

/// What `out1` and `out2` answer through.
const GATEWAY: &str = "10.80.0.1";
/// Between two requests of a [`Load`].
const PACE: Duration = Duration::from_millis(50);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// Where the chart's values for it are, from the folder of the tests; `tests/kind/run.sh` takes the same.
pub const VALUES: &str = "bed/shop/values.yaml";
/// The objects that a user applies, for pods on `node2` and `node3`.
pub const SERVICES: &str = include_str!("../../bed/shop/services.yaml");

/// Pods with web servers on two nodes, web servers outside, and a client that is no part of the cluster either.
pub struct Shop {
    /// At 10.70.0.50.
    pub client: Node,
    _outside: Vec<Server>,
}

/// The pod of a node that serves its name on port 80 of all addresses of the node.
pub fn web_pod(node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web-{node}}}\ndata: {{index.html: {node}}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: web-{node}, labels: {{app: web}}}}\nspec:\n  \
         nodeName: {node}\n  hostNetwork: true\n  terminationGracePeriodSeconds: 1\n  \
         tolerations: [{{operator: Exists}}]\n  \
         volumes: [{{name: www, configMap: {{name: web-{node}}}}}]\n  containers:\n  \
         - name: web\n    image: {TEST_IMAGE}\n    imagePullPolicy: Never\n    \
         command: [/busybox, httpd, -f, -p, \"80\", -h, /www]\n    \
         volumeMounts: [{{name: www, mountPath: /www}}]\n"
    )
}

impl Shop {
    /// Starts the pods and the machines; the objects of kube-lvs are the caller's to apply.
    #[track_caller]
    pub fn open(cluster: &Kubernetes, nodes: &[&str]) -> anyhow::Result<Shop> {
        for node in nodes {
            cluster.plane.apply(&web_pod(node))?;
        }
        let net = &cluster.plane.net;
        let client = Node::new("client").on(net, "eth0", "10.70.0.50/24");
        let outside = [1, 2].map(|number| {
            let name = format!("out{number}");
            let node = Node::new(&name)
                .on(&cluster.inside, "eth0", &format!("10.80.0.20{number}/24"))
                .route(&format!("default via {GATEWAY}"));
            Server::tcp(&node, &format!("10.80.0.20{number}:8080"), &name)
        });
        for node in nodes {
            wait_for(&format!("web-{node} runs"), PATIENCE, || {
                let pod: Pod = cluster.plane.get("default", &format!("web-{node}"))?;
                let status = pod.status.unwrap_or_default();
                ensure!(status.phase.as_deref() == Some("Running"), "{status:?}");
                anyhow::Ok(())
            });
        }
        Ok(Shop { client, _outside: outside.into() })
    }

    /// Asks `address` as often as that: how many answers came from whom.
    pub fn shares(&self, address: &str, count: usize) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut shares = BTreeMap::new();
        for _ in 0..count {
            *shares.entry(fetch(&self.client, address)?).or_default() += 1;
        }
        Ok(shares)
    }

    /// Waits until answers come from exactly these.
    #[track_caller]
    pub fn wait_for_servers(&self, address: &str, servers: &[&str]) {
        wait_for(&format!("{address} is served by {servers:?}"), PATIENCE, || {
            // As many as nobody meets one of two servers by chance alone.
            let shares = self.shares(address, 20)?;
            ensure!(shares.keys().eq(servers), "{shares:?}");
            anyhow::Ok(())
        });
    }

    /// Starts to ask an address without end.
    pub fn load(&self, address: &'static str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, counted, client) = (stop.clone(), asked.clone(), self.client.clone());
        let thread = std::thread::spawn(move || {
            let (mut answered, mut failed) = (0, Vec::new());
            let wire = Capture::start(&client);
            while !told.load(Ordering::Relaxed) {
                let answer = fetch(&client, address);
                // Those of this request's time: who has reset it can be told by the frame's source.
                let frames = wire.frames();
                match answer {
                    Ok(_) => answered += 1,
                    Err(error) => {
                        failed.push(format!("after {answered} answers: {error:#}: {frames:?}"));
                    }
                }
                counted.fetch_add(1, Ordering::Relaxed);
                sleep(PACE);
            }
            (answered, failed)
        });
        Load { address, stop, asked, thread }
    }
}

/// A client that asks without end.
pub struct Load {
    address: &'static str,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Load {
    /// Waits until so many more requests have been answered, or have failed.
    #[track_caller]
    pub fn wait_for_more(&self, requests: usize) {
        let enough = self.asked.load(Ordering::Relaxed) + requests;
        wait_for(&format!("{} was asked {requests} times more", self.address), PATIENCE, || {
            let asked = self.asked.load(Ordering::Relaxed);
            ensure!(asked >= enough, "{asked} of {enough}");
            anyhow::Ok(())
        });
    }

    /// Ends it: how many were answered. Not one may have failed.
    #[track_caller]
    pub fn end_without_a_failure(self, during: &str) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let (answered, failed) = self.thread.join().expect("the client's thread");
        assert!(
            failed.is_empty(),
            "{during}: {} of {} requests to {} failed: {failed:#?}",
            failed.len(),
            failed.len() + answered,
            self.address
        );
        assert!(answered > 0, "{during}: nobody asked");
        answered
    }
}

/// Asks a web server for its page: the first word of it.
pub fn fetch(from: &Node, address: &str) -> anyhow::Result<String> {
    let socket: SocketAddr = address.parse().context("an ADDRESS:PORT")?;
    from.run(|| {
        let mut stream = TcpStream::connect_timeout(&socket, REQUEST).context("connect")?;
        stream.set_read_timeout(Some(REQUEST))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context("send")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("receive")?;
        ensure!(answer.contains(" 200 "), "a strange answer: {answer:?}");
        let page = answer.split_once("\r\n\r\n").map_or("", |(_, page)| page);
        Ok(page.split_whitespace().next().context("an empty page")?.to_owned())
    })
}
