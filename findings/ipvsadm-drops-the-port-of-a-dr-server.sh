#!/bin/bash
# ipvsadm 1.31: a port of a real server that direct routing cannot reach is replaced in silence; one of NAT is kept.
# Guess: `-r 10.0.0.3:8080 -g` for a service on port 80 is refused, as direct routing cannot translate ports.
# Seen: exit 0, and the server stands there with port 80. Deleting it by the port it was added with says that it is not there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
ipvsadm -A -t 10.0.0.1:80 -s rr
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m; echo "NAT: $?"
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.3:8080 -g; echo "direct routing: $?"
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.4:8080 -i; echo "tunnel: $?"
ipvsadm -S -n
ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.3:8080; echo "deleting it as it was added: $?"
GUEST
same <<'SEEN'
NAT: 0
direct routing: 0
tunnel: 0
-A -t 10.0.0.1:80 -s rr
-a -t 10.0.0.1:80 -r 10.0.0.2:8080 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.0.3:80 -g -w 1
-a -t 10.0.0.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type ipip
No such destination
deleting it as it was added: 255
SEEN
