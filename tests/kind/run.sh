#!/bin/bash
# The stories of the suite `cluster`, on a machine with docker, kind, helm and kubectl: images loaded, the chart installed, pods
# and machines outside served by direct routing and NAT, a client outside asking all the time; first upgraded from the version before.
# Needs a kernel with ip_vs. Only kube-proxy's modes are the guest's alone: a kind cluster has one.
# Usage: run.sh           makes a cluster, runs, deletes the cluster
#        run.sh --keep    leaves it, to look at
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=kube-lvs-test
inside=$name-inside
archives=${BED_IMAGES:-}
keep=${1-}
folder=$(mktemp -d)
export KUBECONFIG=$folder/kubeconfig

die() { echo "kind: $*" >&2; exit 1; }
step() { echo "== $*"; }
for tool in docker kind helm kubectl curl; do
  command -v "$tool" >/dev/null || die "no $tool on the PATH"
done
docker info >/dev/null 2>&1 || die "docker does not answer: is it running, and may $(id -un) use it?"
[ -e /proc/net/ip_vs ] || sudo -n modprobe ip_vs 2>/dev/null || die "the kernel has no IPVS yet: modprobe ip_vs (as root)"

loads=()
containers=()
clean() {
  [ ${#loads[@]} -eq 0 ] || kill "${loads[@]}" 2>/dev/null || true
  [ "$keep" != --keep ] || { echo "kind: the cluster $name stays; KUBECONFIG=$KUBECONFIG"; return; }
  [ ${#containers[@]} -eq 0 ] || docker rm -f "${containers[@]}" >/dev/null 2>&1 || true
  kind delete cluster --name "$name" >/dev/null 2>&1 || true
  docker network rm "$inside" >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap clean EXIT

# until_true SECONDS WHAT COMMAND...: the condition that is waited for, never a time.
until_true() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$folder/seen" 2>&1; do
    [ $SECONDS -lt $limit ] || { cat "$folder/seen" >&2; die "not in time: $what"; }
    sleep 0.2
  done
}

step "a cluster"
kind delete cluster --name "$name" >/dev/null 2>&1 || true
docker network rm "$inside" >/dev/null 2>&1 || true
kind create cluster --name "$name" --config tests/kind/cluster.yaml --wait 180s
[ -n "$archives" ] || archives=$(images/build.sh | tail -n 1)
previous=${BED_PREVIOUS:-$(tests/bed/previous.sh | tail -n 1)}
for image in lvs-agent lvs-operator; do
  kind load image-archive --name "$name" "$archives/$image.tar"
  kind load image-archive --name "$name" "$previous/$image.tar"
done
docker pull -q busybox:1.36 >/dev/null
kind load docker-image --name "$name" busybox:1.36

mapfile -t workers < <(kubectl get nodes -l '!node-role.kubernetes.io/control-plane' -o name | sed 's#node/##' | sort)
[ ${#workers[@]} = 4 ] || die "four workers expected, not: ${workers[*]}"

# Addresses of kind's own network that docker gives to nobody, since it counts up from the start.
subnet=$(docker network inspect kind -f '{{range .IPAM.Config}}{{.Subnet}}{{"\n"}}{{end}}' | grep -v : | head -n 1)
[[ $subnet = */16 ]] || die "kind's network is $subnet; a /16 is expected"
prefix=$(cut -d. -f1,2 <<<"$subnet").255
direct=$prefix.100 nat=$prefix.101
# Behind the directors; its gateway is theirs, and floats.
docker network create "$inside" --subnet 10.80.0.0/24 --gateway 10.80.0.254 >/dev/null
for node in "${workers[0]}" "${workers[1]}" "${workers[3]}"; do docker network connect "$inside" "$node"; done

step "pods on two nodes, two machines and a client outside"
for node in "${workers[1]}" "${workers[2]}"; do
  kubectl apply -f - <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: web-$node}
data: {index.html: "$node\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: web-$node, labels: {app: web}}
spec:
  nodeName: $node
  hostNetwork: true
  volumes: [{name: www, configMap: {name: web-$node}}]
  containers:
  - name: web
    image: busybox:1.36
    command: [busybox, httpd, -f, -p, "80", -h, /www]
    volumeMounts: [{name: www, mountPath: /www}]
YAML
done
kubectl wait --for=condition=Ready pod -l app=web --timeout=120s
for number in 1 2; do
  containers+=("$name-out$number")
  docker run -d --rm --name "$name-out$number" --network "$inside" --ip "10.80.0.20$number" --cap-add NET_ADMIN busybox:1.36 sh -c \
    "ip route replace default via 10.80.0.1 && mkdir /www && echo out$number >/www/index.html && httpd -f -p 8080 -h /www" >/dev/null
done
containers+=("$name-client")
docker run -d --rm --name "$name-client" --network kind busybox:1.36 sleep 1000000 >/dev/null
ask() { docker exec "$name-client" wget -q -T 5 -O - "http://$1/"; }
# served ADDRESS NAME...: answers come from exactly these.
served() {
  local address=$1 seen
  shift
  # As many as nobody meets one of two servers by chance alone.
  seen=$(for _ in $(seq 20); do ask "$address" || echo failed; done | sort -u | tr '\n' ' ')
  [ "$seen" = "$(printf '%s\n' "$@" | sort -u | tr '\n' ' ')" ] || { echo "$address is served by: $seen"; return 1; }
}
# What kube-lvs may change on a node. kube-proxy's rules and the pods' network are others' affairs, and change with Services and pods.
state() {
  docker exec "$1" sh -c 'ip -o -4 addr show; ip route show table all
    for f in $(find /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/vs -type f 2>/dev/null); do
      echo "$f $(cat "$f" 2>/dev/null)"; done
    cat /proc/net/ip_vs; nft list tables 2>/dev/null | grep lvs || true' |
    grep -vE 'veth|cni0|valid_lft|^IP Virtual Server|^ *$' | sort
}
for node in "${workers[@]}"; do state "$node" >"$folder/before-$node"; done

release="kube-lvs --namespace kube-lvs"
chart="charts/kube-lvs --values tests/bed/shop/values.yaml --wait --timeout 5m"
all_serve() {
  kubectl wait --for=condition=Programmed virtualservice/direct virtualservice/nat --timeout=60s
  until_true 60 "both pods serve" served "$direct" "${workers[1]}" "${workers[2]}"
  until_true 60 "both machines outside serve" served "$nat" out1 out2
}
# A change of now reaches the kernels.
follow_a_weight() {
  kubectl patch realserver node2 --type=merge -p '{"spec":{"weight":0}}'
  until_true 60 "one pod is drained" served "$direct" "${workers[2]}"
  kubectl patch realserver node2 --type=merge -p '{"spec":{"weight":1}}'
  until_true 60 "both pods serve again" served "$direct" "${workers[1]}" "${workers[2]}"
}
load() { # ADDRESS: one line a failure
  while :; do
    ask "$1" >/dev/null 2>>"$folder/failed-$1" || echo "failed" >>"$folder/failed-$1"
    sleep 0.2
  done
}
start_loads() {
  local address
  for address in "$direct" "$nat"; do
    : >"$folder/failed-$address"
    load "$address" &
    loads+=($!)
  done
}
end_loads() { # WHAT: not one request has failed
  local address
  kill "${loads[@]}" 2>/dev/null || true
  wait "${loads[@]}" 2>/dev/null || true
  loads=()
  for address in "$direct" "$nat"; do
    [ ! -s "$folder/failed-$address" ] || { cat "$folder/failed-$address" >&2; die "$1: requests to $address failed"; }
  done
}

step "from the version before, under load"
# Directors of their own: in that version one that is a real server too resets what another still forwards to it while it gives
# its VIPs away.
kubectl label node "${workers[0]}" "${workers[3]}" kube-lvs.io/director=true
# shellcheck disable=SC2086 # several words, here and below
helm install $release "$previous/chart" --create-namespace
kubectl apply -f tests/bed/shop/previous.yaml
sed "s/10\.70\.0\.100/$direct/; s/10\.70\.0\.101/$nat/; s/nodeName: node2/nodeName: ${workers[1]}/; s/nodeName: node3/nodeName: ${workers[2]}/" \
  tests/bed/shop/services.yaml | kubectl apply -f -
all_serve
start_loads
# helm 3 has no --force-conflicts, and needs none.
force=$(helm upgrade --help | grep -o -- --force-conflicts | head -n 1 || true)
# shellcheck disable=SC2086
helm upgrade $release $chart --take-ownership $force
all_serve
end_loads "from the version before"

step "helm uninstall, helm install"
# shellcheck disable=SC2086
helm uninstall $release --wait --timeout 5m
kubectl label node "${workers[3]}" kube-lvs.io/director-
kubectl label node "${workers[1]}" kube-lvs.io/director=true
# shellcheck disable=SC2086
helm install $release $chart
all_serve
# shellcheck disable=SC2086
helm test $release --timeout 5m
for node in "${workers[@]}"; do
  # NET_ADMIN and NET_RAW (capability.h, 12 and 13).
  docker exec "$node" sh -c 'grep -h CapEff $(grep -l "^Name:.lvs-agent$" /proc/[0-9]*/status)' | grep -q '3000$' ||
    die "the agent of $node has other capabilities"
done

step "operators killed, kubelet restarted, under load"
start_loads
kubectl --namespace kube-lvs delete pod --grace-period=0 --force -l app.kubernetes.io/component=operator
follow_a_weight
docker exec "${workers[1]}" systemctl restart kubelet
until_true 60 "kubelet is back" kubectl wait --for=condition=Ready "node/${workers[1]}" --timeout=1s
end_loads "operators killed, kubelet restarted"

step "upgrade and rollback under load"
start_loads
# shellcheck disable=SC2086
helm upgrade $release $chart --set agent.logLevel=debug,operator.logLevel=debug
# shellcheck disable=SC2086
helm rollback kube-lvs 1 --namespace kube-lvs --wait --timeout 5m
all_serve
end_loads "upgrade and rollback"

step "a node removed"
kubectl delete node "${workers[2]}"
docker exec "${workers[2]}" systemctl stop kubelet
until_true 60 "the node that is left serves alone" served "$direct" "${workers[1]}"

step "helm uninstall"
# shellcheck disable=SC2086
helm uninstall $release --wait --timeout 5m
clean_again() {
  local node
  for node in "${workers[0]}" "${workers[1]}"; do diff "$folder/before-$node" <(state "$node") || return 1; done
}
until_true 120 "the nodes are as before" clean_again
kubectl get crd virtualservices.kube-lvs.io >/dev/null || die "the CRDs are gone, which crds.keep should have kept"
kubectl get virtualservice direct >/dev/null || die "a user's object is gone"
nothing_left() {
  local left
  left=$(kubectl get --all-namespaces --selector=app.kubernetes.io/name=kube-lvs --output=name \
    deployments,daemonsets,replicasets,pods,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,jobs)
  [ -z "$left" ] || { echo "$left"; return 1; }
}
until_true 60 "nothing of ours is left in the cluster" nothing_left
echo "kind: passed"
