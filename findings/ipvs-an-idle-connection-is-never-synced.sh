#!/bin/bash
# Linux 6.1: with IPVS's sync daemons a connection that is established and silent is unknown to the other director, however long it lasts.
# Guess: a connection is told when it is established, or at the latest after some seconds.
# Seen: only packets from the client have one told, by default the third (sync_threshold "3 50"). SYN and ACK are two. A client that waits for the
# server to speak first, as in SMTP, SSH or a database's protocol, loses its connection at a take-over; after one byte it is told.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
machine rs1 10.0.0.101/24
machine active 10.0.0.1/24 10.0.0.10/32
machine other 10.0.0.2/24
machine client 10.0.0.50/24
on rs1 ip addr add 10.0.0.10/32 dev lo
on rs1 sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
on rs1 nc -ll -p 80 -e sleep 100 &
sleep 1
on active ipvsadm --start-daemon master --mcast-interface eth0
on other ipvsadm --start-daemon backup --mcast-interface eth0
for director in active other; do
  on $director ipvsadm -A -t 10.0.0.10:80 -s rr
  on $director ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101 -g
done
echo "sync_threshold: $(on active sysctl -n net.ipv4.vs.sync_threshold | tr '\t' ' ')"
mkfifo /tmp/say
on client nc 10.0.0.10 80 </tmp/say >/dev/null &
exec 3>/tmp/say
known() { for director in active other; do echo "  $director: $(on $director ipvsadm -Lnc | awk '$1 == "TCP" {print $3}')"; done; }
sleep 20
echo "silent for 20 s:"; known
echo >&3
sleep 5
echo "after one byte:"; known
GUEST
same <<'SEEN'
sync_threshold: 3 50
silent for 20 s:
  active: ESTABLISHED
  other:
after one byte:
  active: ESTABLISHED
  other: ESTABLISHED
SEEN
