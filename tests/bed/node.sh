#!/bin/busybox sh
# shellcheck shell=dash
# One Kubernetes node's container runtime, in a network namespace that is already the node's.
# Usage: node.sh NAME PROGRAMS FOLDER    what becomes containerd, as the first process of the node's other namespaces
# FOLDER holds containerd.toml, network.conflist and cpuinfo, and is seen by the node under its own path.
# kubelet follows later, through nsenter.
set -e
name=$1 programs=$2 folder=$3
if [ -z "$BED_NODE" ]; then
  # The node's cgroup has to be the process's own when the namespace is made: it becomes the root that is seen inside.
  mkdir -p "/sys/fs/cgroup/$name"
  echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"
  # By its path: busybox prefers its own, which knows no cgroup namespaces.
  BED_NODE=1 exec /usr/bin/unshare --mount --uts --cgroup /bin/busybox sh "$0" "$@"
fi
unset BED_NODE
hostname "$name"
# A cgroup that hands controllers down may hold no process itself (cgroup-v2.rst, "No Internal Process Constraint").
mkdir "/sys/fs/cgroup/$name/system"
echo $$ >"/sys/fs/cgroup/$name/system/cgroup.procs"
# kubelet looks for the first cgroup mount there is: there must be none but the node's.
umount /sys/fs/cgroup
umount /sys/fs/cgroup
mount -t cgroup2 cgroup /sys/fs/cgroup
# shellcheck disable=SC2013 # words, of one line
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
# Of its own: state, sockets, logs. What the bed keeps under /run stays where it is used: daemons have it open.
for path in /run /var/lib /var/log; do
  mount -t tmpfs -o mode=755 node $path
done
mkdir -p /run/cni /run/lock /run/netns
cp "$folder/$name.conflist" /run/cni/10-pods.conflist
# kubelet's cadvisor reads a clock rate, and User Mode Linux states none.
mount --bind "$folder/cpuinfo" /proc/cpuinfo
PATH=$PATH:$programs exec "$programs/containerd" --config "$folder/containerd.toml" --log-level warn
