#!/bin/bash
# Linux 6.1, scheduler sh (source hashing): of four servers of weight 100 one gets nobody, and the order of adding decides who meets whom.
# Guess: weights are ratios, so four times 100 is four times 1: a quarter of the clients each; and two directors with the same four
# servers send a client to the same one.
# Seen: the scheduler fills 256 slots with each server's weight in turn, the one added last first. 300 slots are used up by three; the
# one added first has none. Added in the opposite order, not one of 40 clients keeps its server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
for n in 1 2 3 4; do machine rs$n 10.0.0.10$n/24; web rs$n 0.0.0.0:80 rs$n; done
machine director 10.0.0.1/24 10.0.0.10/32
machine client 10.0.0.50/24
for n in $(seq 200 239); do on client ip addr add 10.0.0.$n/32 dev eth0; done
for n in 1 2 3 4; do
  on rs$n sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
  on rs$n ip addr add 10.0.0.10/32 dev lo
done
clients() { # ORDER WEIGHT
  on director ipvsadm -C
  on director ipvsadm -A -t 10.0.0.10:80 -s sh
  for n in $1; do on director ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.10$n -g -w "$2"; done
  for n in $(seq 200 239); do
    on client ip route replace 10.0.0.10/32 dev eth0 src 10.0.0.$n
    get client http://10.0.0.10/
  done
}
clients "1 2 3 4" 1 >/tmp/one
echo "weight 1:" $(sort /tmp/one | uniq -c)
clients "1 2 3 4" 100 >/tmp/hundred
echo "weight 100:" $(sort /tmp/hundred | uniq -c)
clients "4 3 2 1" 1 >/tmp/opposite
echo "added in the opposite order, of 40 at the same server: $(paste /tmp/one /tmp/opposite | awk '$1 == $2' | wc -l)"
GUEST
same <<'SEEN'
weight 1: 8 rs1 10 rs2 10 rs3 12 rs4
weight 100: 8 rs2 15 rs3 17 rs4
added in the opposite order, of 40 at the same server: 0
SEEN
