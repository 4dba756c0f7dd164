#!/bin/bash
# ipvsadm 1.31: a table that is saved and restored has lost its connection thresholds.
# Guess: what `ipvsadm -S` prints makes the same table when `ipvsadm -R` reads it, as with iptables-save.
# Seen: flags, persistence engines, tunnel types and netmasks come back; `-x` and `-y` are not printed, so a server that was to have
# 100 connections at most has no limit any more. Nothing warns.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
ipvsadm -A -t 10.0.0.1:80 -s wlc -p 100 -M 255.255.255.0
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2:80 -m -w 3 -x 100 -y 50
ipvsadm -A -u 10.0.0.1:5060 -s rr -p 60 --pe sip
ipvsadm -a -u 10.0.0.1:5060 -r 10.0.0.3:5060 -i --tun-type gue --tun-port 6080
ipvsadm -Ln --thresholds | awk 'NR > 3'
ipvsadm -S -n >/tmp/saved
ipvsadm -C
ipvsadm -R </tmp/saved
echo "after -S and -R:"
ipvsadm -Ln --thresholds | awk 'NR > 3'
GUEST
same <<'SEEN'
TCP  10.0.0.1:80 wlc persistent 100 mask 255.255.255.0
  -> 10.0.0.2:80                  100        50         0          0
UDP  10.0.0.1:5060 rr persistent 60 pe sip
  -> 10.0.0.3:5060                0          0          0          0
after -S and -R:
TCP  10.0.0.1:80 wlc persistent 100 mask 255.255.255.0
  -> 10.0.0.2:80                  0          0          0          0
UDP  10.0.0.1:5060 rr persistent 60 pe sip
  -> 10.0.0.3:5060                0          0          0          0
SEEN
