#!/bin/bash
# Linux 6.1: the upper threshold of a real server (ipvsadm -x) counts connections that are closed, and removing the server does not help.
# Guess: with `-x 2` a third connection is refused while two are open; two that are closed free the server; at the latest a server that is
# deleted and added again begins with nothing.
# Seen: closed connections count until their entry times out, two minutes: a server that answered two short requests gets no third, with
# ActiveConn 0. Deleted and added again it is the same object still: it is full, and its counters go on.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
machine rs1 10.0.0.101/24
machine director 10.0.0.1/24 10.0.0.10/32
machine client 10.0.0.50/24
web rs1 0.0.0.0:80 page
on rs1 ip route add 10.0.0.50/32 via 10.0.0.1
on director sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
on director ipvsadm -A -t 10.0.0.10:80 -s rr
on director ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101:80 -m -x 2
table() {
  on director ipvsadm -Ln | awk 'END {print "  active " $5 ", inactive " $6}'
  sleep 3
  on director ipvsadm -Ln --stats | awk 'END {print "  connections ever: " $3}'
}
for n in 1 2 3; do echo "request $n: $(get client http://10.0.0.10/)"; done
table
on director ipvsadm -d -t 10.0.0.10:80 -r 10.0.0.101:80
on director ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101:80 -m -x 2
echo "deleted and added again: $(get client http://10.0.0.10/)"
table
GUEST
same <<'SEEN'
request 1: page
request 2: page
request 3: nothing
  active 0, inactive 2
  connections ever: 2
deleted and added again: nothing
  active 0, inactive 2
  connections ever: 2
SEEN
