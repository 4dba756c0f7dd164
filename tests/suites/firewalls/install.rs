//! The firewalls, as their packages have them.

use std::process::Command;
use std::time::Duration;

use lvs_tests::net::{Daemon, Node};
use lvs_tests::wait_for;

use super::PORT;

/// What must not end before the firewall.
pub(super) type Standing = Vec<Daemon>;

/// One firewall on the director.
pub(super) struct Firewall {
    /// Starts it, with what its user would do to let the services' port in, where that is a matter of course.
    pub(super) start: fn(&Node) -> Standing,
    /// What has to be added for the rest.
    pub(super) accept: Option<&'static str>,
}

#[track_caller]
fn sh(node: &Node, words: &str) -> String {
    node.sh(words).unwrap_or_else(|error| panic!("{words}: {error:#}"))
}

/// The filter of Docker 20.10: its chains, and the policy that it sets.
fn docker(node: &Node, iptables: &str) -> Standing {
    let rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
                 :DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-ISOLATION-STAGE-2 - [0:0]\n:DOCKER-USER - [0:0]\n\
                 -A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
                 -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                 -A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n\
                 -A FORWARD -i docker0 -o docker0 -j ACCEPT\n\
                 -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2\n\
                 -A DOCKER-ISOLATION-STAGE-1 -j RETURN\n-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n\
                 -A DOCKER-ISOLATION-STAGE-2 -j RETURN\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
    sh(node, &format!("{iptables}-restore <<'E'\n{rules}E"));
    Vec::new()
}

pub(super) const DOCKER: Firewall = Firewall {
    start: |node| docker(node, "iptables-nft"),
    accept: Some("iptables-nft -I DOCKER-USER -s 10.0.0.0/24 -j ACCEPT"),
};

pub(super) const DOCKER_LEGACY: Firewall = Firewall {
    start: |node| docker(node, "iptables-legacy"),
    accept: Some("iptables-legacy -I DOCKER-USER -s 10.0.0.0/24 -j ACCEPT"),
};

/// Its own program and files. A guest's `/etc` is read-only.
pub(super) const UFW: Firewall = Firewall {
    start: |node| {
        sh(
            node,
            "mkdir -p /tmp/ufw /tmp/default && cp -a /etc/ufw/. /tmp/ufw && cp -a /etc/default/. /tmp/default && \
                  mount --bind /tmp/ufw /etc/ufw && mount --bind /tmp/default /etc/default && \
                  sed -i s/IPV6=yes/IPV6=no/ /etc/default/ufw",
        );
        sh(node, &format!("ufw allow {PORT}/tcp && ufw --force enable && ufw status verbose"));
        Vec::new()
    },
    accept: None,
};

/// The daemon, on a bus of its own.
pub(super) const FIREWALLD: Firewall = Firewall {
    start: |node| {
        sh(
            node,
            "mkdir -p /tmp/firewalld /run/dbus && cp -a /etc/firewalld/. /tmp/firewalld && \
                  mount --bind /tmp/firewalld /etc/firewalld",
        );
        let bus =
            node.spawn(Command::new("dbus-daemon").args(["--system", "--nofork", "--nopidfile"]));
        let daemon = node.spawn(Command::new("firewalld").args(["--nofork", "--nopid"]));
        wait_for("firewalld runs", Duration::from_secs(120), || node.sh("firewall-cmd --state"));
        sh(
            node,
            &format!("firewall-cmd --permanent --add-port={PORT}/tcp && firewall-cmd --reload"),
        );
        vec![daemon, bus]
    },
    accept: None,
};

/// The file from the package, which accepts nothing from outside.
pub(super) const WORKSTATION: Firewall = Firewall {
    start: |node| {
        // Without its first command, which would take away our table: that is another test's.
        sh(
            node,
            "sed '/^flush ruleset/d' /usr/share/doc/nftables/examples/workstation.nft | nft -f -",
        );
        Vec::new()
    },
    accept: Some("nft insert rule inet filter input tcp dport 8000 accept"),
};

/// As Red Hat's iptables-services has it, and many a guide.
pub(super) const CLASSIC: Firewall = Firewall {
    start: |node| {
        let rules = format!(
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n\
             -A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport {PORT} -j ACCEPT\n\
             -A INPUT -j REJECT --reject-with icmp-host-prohibited\n\
             -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A FORWARD -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n"
        );
        sh(node, &format!("iptables-nft-restore <<'E'\n{rules}E"));
        Vec::new()
    },
    accept: Some(
        "iptables-nft -I INPUT -p tcp -m conntrack --ctstate UNTRACKED --dport 8000 -j ACCEPT",
    ),
};

/// The filter of kube-proxy in its mode iptables (pkg/proxy/iptables/proxier.go), for a Service without endpoints.
pub(super) const KUBE_PROXY: Firewall = Firewall {
    start: |node| {
        let rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUBE-FORWARD - [0:0]\n\
                     :KUBE-FIREWALL - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-EXTERNAL-SERVICES - [0:0]\n\
                     -A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES\n-A INPUT -j KUBE-FIREWALL\n\
                     -A FORWARD -j KUBE-FORWARD\n-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES\n\
                     -A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES\n-A OUTPUT -j KUBE-FIREWALL\n\
                     -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n\
                     -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n\
                     -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n\
                     -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n";
        sh(node, &format!("iptables-nft-restore <<'E'\n{rules}E"));
        Vec::new()
    },
    accept: None,
};
