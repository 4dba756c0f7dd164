#!/bin/bash
# Linux 6.1: one-packet scheduling (ipvsadm -o) of a NAT service: the answer comes from the real server's own address.
# Guess: -o only has each datagram scheduled anew; NAT goes both ways as ever.
# Seen: the entry is gone when the answer passes the director, so nothing turns its source back into the virtual address. A client whose
# socket is connected, as a resolver's is, never sees it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
iptables
packages socat=1.7.4.4-2
fetch libssl3 libwrap0 libreadline8 libtinfo6 libnsl2 libtirpc3 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1
guest <<'GUEST'
machine director 10.0.0.1/24 10.0.0.10/32
machine client 10.0.0.50/24
machine rs1 10.0.0.101/24
on rs1 ip route add 10.0.0.50/32 via 10.0.0.1
on director sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
on rs1 socat udp4-recvfrom:53,fork system:'cat' &
sleep 1
for source in 10.0.0.10 10.0.0.101; do on client iptables-legacy -A INPUT -p udp -s $source; done
for flag in "" -o; do
  on director ipvsadm -A -u 10.0.0.10:53 -s rr $flag
  on director ipvsadm -a -u 10.0.0.10:53 -r 10.0.0.101:53 -m
  echo "flags '$flag': client reads '$(echo answer | on client socat -t 2 - udp4-connect:10.0.0.10:53)'"
  on client iptables-legacy -vnxL INPUT | awk 'NR > 2 {print "  datagrams from " $7 ": " $1}'
  on client iptables-legacy -Z
  on director ipvsadm -C
done
GUEST
same <<'SEEN'
flags '': client reads 'answer'
  datagrams from 10.0.0.10: 1
  datagrams from 10.0.0.101: 0
flags '-o': client reads ''
  datagrams from 10.0.0.10: 0
  datagrams from 10.0.0.101: 1
SEEN
