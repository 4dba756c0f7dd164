//! Many connections at once: the director holds them, and its agent says how many, and when their table is too small.

use std::path::Path;
use std::time::{Duration, Instant};

use lvs_tests::bed::{Guest, Kernel, in_guest};
use lvs_tests::bench::Filling;
use lvs_tests::eventually;
use lvs_tests::scenario::{Cluster, director_group, metric, real_server, virtual_service};
use serde_json::Value;

/// How long the agent may take to look and to report: reports come at least every 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two reports without news.
const REGULARLY: Duration = Duration::from_secs(30);
/// Far more than eight times the 4096 buckets.
const MANY: u32 = 100_000;

#[test]
fn the_agent_tells_connections_and_long_chains_and_does_not_report_for_the_number_alone() {
    // One whose table keeps its size.
    let guest = Guest::control_plane().on(Kernel::Ours).limit(Duration::from_secs(300));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut filling = Filling::new()?;
        let director = filling.director.clone();
        let cluster = director_of(&filling)?;
        let status = || status(&cluster);
        let counted = || metric(&director, "lvs_agent_connections");
        assert_eq!(status()["kernel"]["connectionTableSize"], 4096);
        assert_eq!(metric(&director, "lvs_agent_connection_table_buckets"), 4096.0);

        filling.fill(1_000)?;
        eventually("1000 are counted", PATIENCE, counted, |count| *count == 1_000.0);
        assert_eq!(status()["warnings"], Value::Null);
        let (start, reports) = (Instant::now(), metric(&director, "lvs_agent_reports_total"));
        for connections in [2_000, 3_000, 4_000] {
            filling.fill(connections)?;
            let wanted = f64::from(connections);
            eventually("they are counted", PATIENCE, counted, |count| *count == wanted);
        }
        let written = metric(&director, "lvs_agent_reports_total") - reports;
        let regular = 1 + start.elapsed().as_secs() / REGULARLY.as_secs();
        assert!(written <= regular as f64, "{written} reports within {:?}", start.elapsed());

        filling.fill(MANY)?;
        let warned = |status: &Value| status["warnings"][0]["reason"] == "LongConnectionChains";
        let status = eventually("long chains are told", PATIENCE, status, warned);
        let message = status["warnings"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains("conn_tab_bits=20"), "{message}");
        // As many as there were when they had become too many.
        let reported = status["table"]["connections"].as_u64().unwrap_or_default();
        assert!((8 * 4096 + 1..=u64::from(MANY)).contains(&reported), "{reported} reported");
        eventually("all are counted", PATIENCE, counted, |count| *count == f64::from(MANY));
        let listed = director.sh("grep -c ESTABLISHED /proc/net/ip_vs_conn")?;
        assert_eq!(listed.trim(), MANY.to_string(), "entries in the kernel's own list");
        Ok(())
    });
}

/// An agent on the director, with ten real servers.
fn director_of(filling: &Filling) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::start_with(&["--audit-interval", "500ms"]);
    cluster.add_director(&filling.director);
    cluster.apply(&director_group("default", "nodeSelector: {}"));
    for host in 101..=110 {
        let spec = format!("address: 10.2.0.{host}");
        cluster.apply(&real_server(&format!("rs{host}"), "web", &spec));
    }
    cluster.apply(&virtual_service("web", "addresses: [192.168.0.10], forwarding: DR"));
    cluster.wait_for("virtualservice/web", "Programmed");
    Ok(cluster)
}

fn status(cluster: &Cluster) -> Value {
    let found = cluster.plane.read("lvsnode/director").expect("an answer");
    found.expect("the LVSNode").data["status"].take()
}

#[test]
fn a_table_that_grows_by_itself_is_followed_and_long_chains_are_told_at_its_limit() {
    for (bits, warned) in [(20, false), (12, true)] {
        let guest = Guest::control_plane().parameter(&format!("ip_vs.conn_tab_bits={bits}"));
        in_guest(guest.memory("4G"), || -> anyhow::Result<()> {
            let mut filling = Filling::new()?;
            let director = filling.director.clone();
            let cluster = director_of(&filling)?;
            if !Path::new("/proc/net/ip_vs_status").exists() {
                println!("there is no newer kernel here: its table does not grow");
                return Ok(());
            }
            let buckets = || status(&cluster)["kernel"]["connectionTableSize"].as_u64();
            eventually("the smallest table is told", PATIENCE, buckets, |it| *it == Some(256));
            filling.fill(MANY)?;
            // Some buckets for each connection, as far as there are as many (conn_lfactor).
            let grown = if warned { 4096..=4096 } else { u64::from(MANY)..=1 << 20 };
            let is_grown = |told: &Option<u64>| told.is_some_and(|told| grown.contains(&told));
            eventually("the table's size is told", PATIENCE, buckets, is_grown);
            let counted = || metric(&director, "lvs_agent_connections");
            eventually("all are counted", PATIENCE, counted, |count| *count == f64::from(MANY));
            let warnings = || status(&cluster)["warnings"].clone();
            eventually("chains are judged", PATIENCE, warnings, |told| {
                (told[0]["reason"] == "LongConnectionChains") == warned
            });
            Ok(())
        });
    }
}

#[test]
fn a_kernel_started_with_conn_tab_bits_20_has_a_table_of_that_size() {
    let guest = Guest::kernel().on(Kernel::Ours);
    let guest = guest.memory("3G").parameter("ip_vs.conn_tab_bits=20");
    in_guest(guest, || -> anyhow::Result<()> {
        let mut filling = Filling::new()?;
        filling.program()?;
        let measured = filling.measure(&[1_000, MANY])?;
        assert_eq!(measured.last().map(|last| last.connections), Some(u64::from(MANY)));
        assert!(measured.iter().all(|filled| filled.buckets == 1 << 20), "{measured:?}");
        Ok(())
    });
}
