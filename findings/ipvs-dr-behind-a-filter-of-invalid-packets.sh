#!/bin/bash
# Linux 6.1 and the usual first rule of a firewall, "drop what conntrack calls invalid", in INPUT of a director with direct routing.
# Guess: as a director sees only one direction, either all is dropped or nothing.
# Seen: with net.ipv4.vs.conntrack=0 a client is served, but its last packets are dropped: the server waits for its FIN, and IPVS's entry
# stays ESTABLISHED for 15 minutes, which least-connection schedulers count. With vs.conntrack=1 already the client's first ACK is
# invalid, and nothing is served at all.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
iptables
guest <<'GUEST'
machine rs1 10.0.0.101/24
machine director 10.0.0.1/24 10.0.0.10/32 10.0.0.11/32 10.0.0.12/32
machine client 10.0.0.50/24
web rs1 0.0.0.0:80 page
on rs1 sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
for vip in 10.0.0.10 10.0.0.11 10.0.0.12; do on rs1 ip addr add $vip/32 dev lo; done
ask() { # VIP
  on director ipvsadm -A -t $1:80 -s rr
  on director ipvsadm -a -t $1:80 -r 10.0.0.101 -g
  page=$(get client http://$1/)
  sleep 1
  echo "$2: $page, $(on director ipvsadm -Lnc | awk -v vip=$1:80 '$5 == vip {print $3; exit}')"
}
ask 10.0.0.10 "no filter"
on director iptables-legacy -A INPUT -m conntrack --ctstate INVALID -j DROP
ask 10.0.0.11 "filter"
on director sysctl -qw net.ipv4.vs.conntrack=1
ask 10.0.0.12 "filter, vs.conntrack=1"
GUEST
same <<'SEEN'
no filter: page, FIN_WAIT
filter: page, ESTABLISHED
filter, vs.conntrack=1: nothing, SYN_RECV
SEEN
