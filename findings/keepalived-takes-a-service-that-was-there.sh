#!/bin/bash
# keepalived 2.2.7 and ipvsadm 1.31: a service that an admin had made before keepalived starts is gone when keepalived stops.
# Guess: keepalived says that the service exists already and leaves it alone, as it does not flush (lvs_flush is off).
# Seen: it adds its own servers to it, and when it ends it deletes the service with the admin's server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/guest.sh"
ipvsadm
keepalived
guest <<'GUEST'
machine one 10.0.0.1/24
on one ipvsadm -A -t 10.0.0.10:80 -s wlc
on one ipvsadm -a -t 10.0.0.10:80 -r 10.0.0.101:80 -m -w 5
on one ipvsadm -A -t 10.0.0.11:80 -s wlc
cat >/tmp/conf <<'CONF'
virtual_server 10.0.0.10 80 {
  lvs_sched rr
  lvs_method NAT
  protocol TCP
  real_server 10.0.0.102 80 {
    weight 1
  }
}
CONF
on one keepalived -n -l -f /tmp/conf -p /tmp/p -c /tmp/c >/tmp/log 2>&1 &
sleep 10
echo "while it runs:"; on one ipvsadm -S -n
kill -TERM "$(cat /tmp/p)"
sleep 8
echo "afterwards:"; on one ipvsadm -S -n
sed -n 's/.*error: \(Service already exists\).*/it said: \1/p' /tmp/log
GUEST
same <<'SEEN'
while it runs:
-A -t 10.0.0.10:80 -s wlc
-a -t 10.0.0.10:80 -r 10.0.0.101:80 -m -w 5
-a -t 10.0.0.10:80 -r 10.0.0.102:80 -m -w 1
-A -t 10.0.0.11:80 -s wlc
afterwards:
-A -t 10.0.0.11:80 -s wlc
it said: Service already exists
SEEN
