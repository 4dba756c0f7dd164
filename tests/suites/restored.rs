//! etcd is put back to an earlier state, as after a disaster: what was made since is gone, resourceVersions begin again, and
//! nothing of what is said afterwards is taken from the time that was.

use std::thread::sleep;
use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::eventually;
use lvs_tests::net::{Link, Node};
use lvs_tests::scenario::{Cluster, director_group, real_server, virtual_service};

const PATIENCE: Duration = Duration::from_secs(90);
const WEB: &str = "192.168.0.10:80";
const LATE: &str = "192.168.0.11:80";

#[test]
fn the_kernel_and_the_statuses_follow_an_api_server_that_goes_on_from_a_backup() {
    in_guest(Guest::control_plane().virtual_time().limit(Duration::from_secs(600)), || {
        let lan = Link::new("lan");
        let director = Node::new("director").on(&lan, "eth0", "192.168.0.1/24");
        let mut cluster = Cluster::start();
        cluster.add_director(&director);
        cluster.apply(&director_group("default", ""));
        cluster.apply(&virtual_service("web", "addresses: [192.168.0.10]"));
        weigh(&cluster, 1);
        cluster.wait_for("lvsvs/web", "Available");
        cluster.plane.back_up()?;

        // What will never have been.
        cluster.apply(&virtual_service("late", "addresses: [192.168.0.11]"));
        cluster.apply(&real_server("late", "late", "address: 192.168.0.102"));
        for weight in 2..40 {
            weigh(&cluster, weight);
        }
        cluster.wait_for("lvsvs/late", "Available");
        cluster.wait_for("lvsvs/web", "Programmed");
        weight_is(&director, 39);
        assert!(director.service(LATE).is_some());

        cluster.plane.put_back()?;
        eventually("late is gone", PATIENCE, || director.service(LATE), Option::is_none);
        weight_is(&director, 1);
        // The agent has said how far it is since then.
        sleep(Duration::from_secs(40));
        cluster.wait_for("lvsvs/web", "Available");
        // That it was further once is no reason to believe that it has read back what is new.
        cluster.plane.cut(&director);
        weigh(&cluster, 5);
        cluster.wait_for("lvsvs/web", "Programmed=False");
        sleep(Duration::from_secs(5));
        let told = cluster.condition("lvsvs/web", "Programmed");
        assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "Pending"), "{told:?}");
        cluster.plane.heal(&director);
        cluster.wait_for("lvsvs/web", "Programmed");
        weight_is(&director, 5);
        Ok(())
    });
}

fn weigh(cluster: &Cluster, weight: u32) {
    cluster.apply(&real_server("a", "web", &format!("address: 192.168.0.101, weight: {weight}")));
}

#[track_caller]
fn weight_is(director: &Node, weight: i64) {
    let found = || director.service(WEB).map(|it| it.destination("192.168.0.101:80").weight);
    eventually(&format!("the weight is {weight}"), PATIENCE, found, |it| *it == Some(weight));
}
