#!/bin/busybox sh
# pid 1 of a guest, or the first process of fresh namespaces (BED=host). The host's / is there, read-only in a guest;
# what needs writing gets a tmpfs; $BED_DIR, mounted write-through at /run/bed, brings the command and takes its results:
#   in:  cmd (the command), keep (folders that must not vanish under a tmpfs), modules, modprobe.conf, terminal
#   out: out (its output), rc (its exit status), logs/ (what daemons said)
# busybox is static, so that its mount, mkdir and the like start in a fraction of the time: exec is dear in a guest.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TMPDIR=/tmp
host=$BED_HOST
# By its path: without one busybox executes /proc/self/exe, and that /proc is still the host's.
/bin/busybox mount -t proc proc /proc
hostname bed
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir /run/bed /run/keep /run/netns
if [ -n "$host" ]; then
  mount --bind "$BED_DIR" /run/bed
else
  mount -t devtmpfs dev /dev 2>/dev/null
  mkdir -p /dev/pts /dev/shm
  mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
  ln -sf /proc/self/fd /dev/fd
  mount -t hostfs -o "$BED_DIR" hostfs /run/bed
fi

n=0
while IFS= read -r path; do
  n=$((n + 1))
  mkdir /run/keep/$n
  mount --bind "$path" /run/keep/$n
done </run/bed/keep
for folder in /tmp /dev/shm /var/lib /var/log /mnt; do
  [ ! -d $folder ] || mount -t tmpfs -o mode=1777 bed $folder
done
n=0
while IFS= read -r path; do
  n=$((n + 1))
  [ -e "$path" ] || { mkdir -p "$path" && mount --bind /run/keep/$n "$path"; }
done </run/bed/keep

if [ -z "$host" ]; then
  mount -t tmpfs cgroup /sys/fs/cgroup
  mount -t cgroup2 cgroup /sys/fs/cgroup
  for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo +$controller >/sys/fs/cgroup/cgroup.subtree_control
  done
  # A kernel with modules asks for them here. The host's /lib/modules belongs to another kernel.
  if [ -e /run/bed/modules ]; then
    IFS= read -r modules </run/bed/modules
    printf '#!/bin/sh\nexec /sbin/modprobe -C /run/bed/modprobe.conf -d "%s" "$@"\n' "$modules" >/run/modprobe
    chmod 755 /run/modprobe
    echo /run/modprobe >/proc/sys/kernel/modprobe
    /run/modprobe ipv6 # nothing asks for it in time
  fi
fi
ip link set lo up 2>/dev/null || ifconfig lo up

unset BED_DIR BED_HOST
cd /run/bed
if [ -e terminal ]; then
  setsid cttyhack /bin/sh ./cmd
else
  /bin/sh ./cmd >./out 2>&1 </dev/null
fi
echo $? >./rc
[ -n "$host" ] || poweroff -f
