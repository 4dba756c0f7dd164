# shellcheck shell=bash
# Sourced by each finding: a kernel of Debian's package user-mode-linux with nothing in it but Debian packages, as one ordinary process.
# Everything is in a temporary folder that goes with the script; needed are apt-get, dpkg-deb and the network.
#
#   packages NAME=VERSION...   unpacks these besides the guest's own; `ipvsadm`, `iptables` and `keepalived` do so with what they need
#   fetch NAME...              the same for libraries, which decide nothing here: whichever versions apt has
#   guest <<'...'              runs a shell script as root in a new guest; what it prints is in $seen
#   same <<'...'               ends with 1 unless $seen is this text, line by line
#
# In the guest: `machine NAME ADDRESS...` makes a machine on a common link, `on NAME COMMAND...` runs something there,
# `web NAME ADDRESS:PORT TEXT` serves a page, `get NAME URL` prints a page or "nothing".
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
root=$here/root
mkdir -p "$here/debs" "$root"

fetch() {
  # A kept folder spares a second download: FINDINGS_DEBS=DIR.
  local debs=${FINDINGS_DEBS:-$here/debs} name file
  mkdir -p "$debs"
  for name in "$@"; do
    file=$debs/$name.deb
    if [ ! -e "$file" ]; then
      (cd "$here/debs" && apt-get download -q "$name" >"$here/apt" 2>&1 && mv ./*_*.deb "$file") ||
        { cat "$here/apt" >&2; echo "cannot get $name: this finding is about that version" >&2; exit 2; }
    fi
    dpkg-deb -x "$file" "$root"
  done
}
packages() {
  fetch "$@"
  printf '%s\n' "$@" | grep '=' | sed 's/=/ /'
}
packages user-mode-linux=6.1um4+b13 busybox-static=1:1.35.0-4+deb12u1+b1 iproute2=6.1.0-3
fetch libc6 libbpf1 libbsd0 libcap2 libelf1 libmd0 libmnl0 zlib1g

ipvsadm() { packages ipvsadm=1:1.31-1+b1 && fetch libnl-3-200 libnl-genl-3-200 libpopt0; }
keepalived() {
  packages keepalived=1:2.2.7-1+b2
  fetch libblkid1 libcap2 libcom-err2 libcrypt1 libffi8 libgcrypt20 libglib2.0-0 libgpg-error0 \
    libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1 liblzma5 libmnl0 libmount1 libnftnl11 \
    libnl-3-200 libnl-genl-3-200 libnsl2 libpci3 libpcre2-8-0 libperl5.36 libselinux1 libsensors5 libsnmp40 libssl3 libsystemd0 \
    libtirpc3 libudev1 libwrap0 libzstd1 zlib1g
}
iptables() { packages iptables=1.8.9-2 && fetch libip4tc2 libip6tc2 libxtables12; }

guest() {
  local applet
  mkdir -p "$root"/{proc,sys,dev,run,tmp,bin,sbin,result}
  for applet in $("$root/bin/busybox" --list); do
    [ -e "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
  mkdir -p "$root/lib/modules"
  [ -e "$root/lib/modules/done" ] || { cp -r "$root"/usr/lib/uml/modules/* "$root/lib/modules/"; touch "$root/lib/modules/done"; }
  cat >"$root/result/script"
  cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
# By its path: busybox's shell prefers busybox's own.
ip() { /sbin/ip "$@"; }
depmod -a 2>/dev/null
echo /bin/modprobe >/proc/sys/kernel/modprobe
echo 0 >/proc/sys/kernel/printk
modprobe ipv6; modprobe ip_vs
ip link set lo up
ip link add lan type bridge; ip link set lan up
machine() {
  name=$1; shift
  ip netns add "$name"
  ip link add "to-$name" type veth peer name eth0 netns "$name"
  ip link set "to-$name" master lan up
  on "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  on "$name" ip link set lo up
  on "$name" ip link set eth0 up
  for address in "$@"; do on "$name" ip addr add "$address" dev eth0; done
}
on() { name_=$1; shift; ip netns exec "$name_" "$@"; }
web() { mkdir -p "/tmp/$1-$3"; echo "$3" >"/tmp/$1-$3/index.html"; on "$1" httpd -p "$2" -h "/tmp/$1-$3"; }
get() { on "$1" timeout 4 wget -q -O - "$2" 2>/dev/null || echo nothing; }
. /result/script >/result/seen 2>&1
poweroff -f
INIT
  chmod 755 "$root/init"
  : >"$root/result/seen"
  mkdir -p "$here/home"
  HOME=$here/home TMPDIR=/dev/shm timeout "${LIMIT:-240}" "$root/usr/bin/linux.uml" mem=512M rootfstype=hostfs root=/dev/root rootflags="$root" rw \
    quiet panic=-1 con=null con0=null,fd:2 con1=null,fd:2 init=/init </dev/null >"$here/console" 2>&1 || true
  seen=$(sed 's/ *$//' "$root/result/seen")
  printf '%s\n' "$seen"
}

same() {
  cat >"$here/expected"
  diff -u --label expected --label seen "$here/expected" <(printf '%s\n' "$seen") || { echo "it is not as it was" >&2; exit 1; }
  echo "as it was"
}
