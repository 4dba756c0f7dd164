#!/bin/bash
# Linux 6.1 with iptables 1.8.9: a MASQUERADE rule does not hold for what IPVS has balanced, until net.ipv4.vs.conntrack is 1.
# Guess: POSTROUTING is after IPVS, so a rule for the real server's address masquerades all that is sent there.
# Seen: connections of the director's own are masqueraded, balanced ones are not: they reach the server with the client's address, are
# answered past the director and so by nobody. The rule's counter does not move. With vs.conntrack=1 it works.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
iptables
guest <<'GUEST'
machine rs1 10.0.0.101/24
machine director 10.0.0.1/24 10.0.0.10/32 10.0.0.9/32
machine client 10.0.0.50/24
web rs1 0.0.0.0:80 page
on director sysctl -qw net.ipv4.ip_forward=1
on director iptables-legacy -t nat -A POSTROUTING -d 10.0.0.101 -j MASQUERADE
on director ipvsadm -A -t 10.0.0.10:80 -s rr
on director ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101:80 -m
hits() { on director iptables-legacy -t nat -vnxL POSTROUTING | awk 'END {print "hits of the rule: " $1}'; }
echo "vs.conntrack=$(on director sysctl -n net.ipv4.vs.conntrack): $(get client http://10.0.0.10/), $(hits)"
on director sysctl -qw net.ipv4.vs.conntrack=1
echo "vs.conntrack=$(on director sysctl -n net.ipv4.vs.conntrack): $(get client http://10.0.0.10/), $(hits)"
GUEST
same <<'SEEN'
vs.conntrack=0: nothing, hits of the rule: 0
vs.conntrack=1: page, hits of the rule: 1
SEEN
