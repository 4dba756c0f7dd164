#!/bin/bash
# ipvsadm 1.31: -e and -E set all that they do not name to its default.
# Guess: `ipvsadm -e ... -w 7` changes the weight of a real server, and the rest stays as it is.
# Seen: the NAT server of weight 50 becomes one for direct routing (the default), without its threshold: to a service whose port is
# translated it answers nothing from then on. -E without -p ends persistence.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
guest <<'GUEST'
ipvsadm -A -t 10.0.0.1:80 -s rr -p 300
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.4:8080 -m -w 50 -x 10
ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.5:80 -m -w 50 -x 10
ipvsadm -E -t 10.0.0.1:80 -s wlc
ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.4:8080 -m -y 5 -x 10; echo "edit of a threshold: $?"
ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.5:80 -w 7; echo "edit of a weight: $?"
ipvsadm -S -n
ipvsadm -Ln --thresholds | awk 'NR > 4'
GUEST
same <<'SEEN'
edit of a threshold: 0
edit of a weight: 0
-A -t 10.0.0.1:80 -s wlc
-a -t 10.0.0.1:80 -r 10.0.0.4:8080 -m -w 1
-a -t 10.0.0.1:80 -r 10.0.0.5:80 -g -w 7
  -> 10.0.0.4:8080                10         5          0          0
  -> 10.0.0.5:80                  0          0          0          0
SEEN
