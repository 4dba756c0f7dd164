#!/bin/bash
# Linux 6.1: an IPv4 address of host scope, added to an interface last, stands before the one that was there first.
# Guess: the kernel keeps addresses in the order of adding, primary ones before secondary ones.
# Seen: they are sorted by scope too, and the narrowest comes first. So a program that takes "the first address of eth0" (of `ip`, of
# getifaddrs, of an ioctl) takes another than before. The kernel's own choice of a source address is not affected.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
guest <<'GUEST'
machine one 10.0.0.1/24
on one ip addr add 10.0.0.10/32 dev eth0
on one ip addr add 10.0.0.11/32 dev eth0 scope host
on one ip -o -4 addr show dev eth0 | awk '{print $4}'
echo "SIOCGIFADDR: $(on one ifconfig eth0 | awk -F '[: ]+' '/inet addr/ {print $4}')"
echo "source to a neighbour: $(on one ip route get 10.0.0.99 | awk '{print $5; exit}')"
GUEST
same <<'SEEN'
10.0.0.11/32
10.0.0.1/24
10.0.0.10/32
SIOCGIFADDR: 10.0.0.11
source to a neighbour: 10.0.0.1
SEEN
