#!/bin/bash
# Installs the Debian packages that the test bed needs and that are not there yet. Asks for sudo when we are not root.
# Usage: packages.sh            install what is missing
#        packages.sh --check    only say what is missing; exit 1 if something is
set -euo pipefail

# what                      for
packages=(
  gcc libc6-dev make         # the kernel, ring's C files
  flex bison bc xz-utils     # the kernel's own build
  linux-source-6.12          # the kernel: a tar in /usr/src
  musl-tools                 # static programs for the images
  libseccomp-dev pkgconf     # runc, which starts the containers of the cluster's nodes
  iptables ipset conntrack   # kube-proxy's
  etcd-server                # under the kube-apiserver
  iproute2 util-linux        # namespaces, veth, nsenter, taskset
  procps busybox-static      # the guest's pid 1 and its power-off
  ipvsadm                    # to read tables as an admin would, and to be measured against
  nftables                   # the same of nftables
  firewalld ufw dbus         # firewalls that users have beside us
  tcpdump iputils-arping     # to see packets and ask who has an address
  keepalived                 # somebody else's VRRP
  systemd                    # its systemd-networkd beside a director
  dnsmasq-base bind9-dnsutils  # a DNS server and client
  vsftpd                     # a real FTP server; curl is the client
  nginx-light                # a real web server behind health checks
  kmod user-mode-linux       # Debian's own modular kernel: what a node without IPVS, or without a scheduler, looks like
  shellcheck                 # the linter of the scripts
  openssl curl ca-certificates
)

# A package may stand there under dpkg without our having to ask apt, which needs its lists.
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "${1-}" = --check ]; then
  echo "missing Debian packages: ${missing[*]}" >&2
  echo "install them with: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
command -v apt-get >/dev/null || {
  echo "packages: this is not a Debian system (no apt-get). Needed here: ${missing[*]}, or what they are called on it." >&2
  exit 1
}
sudo=
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "packages: neither root nor sudo. Ask an admin to run: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo=sudo
  echo "packages: installing with sudo: ${missing[*]}"
else
  echo "packages: installing ${missing[*]}"
fi
# A package that brings a service (etcd) must not start it.
install() { $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends -q "${missing[@]}" >"$log" 2>&1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install || { $sudo apt-get update -q >"$log" 2>&1 && install; } || {
  echo "packages: apt-get install failed:" >&2
  tail -n 15 "$log" >&2
  exit 1
}
