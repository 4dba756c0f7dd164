#!/bin/bash
# The story of the suite `cluster`, on a machine with docker, kind, helm and kubectl: images loaded, the chart installed, pods
# and machines outside served by direct routing and NAT, a client outside asking all the time. Needs a kernel with ip_vs.
# Usage: run.sh           makes a cluster, runs, deletes the cluster
#        run.sh --keep    leaves it, to look at
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=kube-lvs-test
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
kind create cluster --name "$name" --config tests/kind/cluster.yaml --wait 180s
[ -n "$archives" ] || archives=$(images/build.sh | tail -n 1)
for image in lvs-agent lvs-operator; do kind load image-archive --name "$name" "$archives/$image.tar"; done
docker pull -q busybox:1.36 >/dev/null
kind load docker-image --name "$name" busybox:1.36

mapfile -t workers < <(kubectl get nodes -l '!node-role.kubernetes.io/control-plane' -o name | sed 's#node/##' | sort)
[ ${#workers[@]} = 3 ] || die "three workers expected, not: ${workers[*]}"
kubectl label node "${workers[0]}" "${workers[1]}" kube-lvs.io/director=true

# Addresses of kind's own network that docker gives to nobody, since it counts up from the start.
subnet=$(docker network inspect kind -f '{{range .IPAM.Config}}{{.Subnet}}{{"\n"}}{{end}}' | grep -v : | head -n 1)
[[ $subnet = */16 ]] || die "kind's network is $subnet; a /16 is expected"
prefix=$(cut -d. -f1,2 <<<"$subnet").255
direct=$prefix.100 nat=$prefix.101

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
    command: [httpd, -f, -p, "80", -h, /www]
    volumeMounts: [{name: www, mountPath: /www}]
YAML
done
kubectl wait --for=condition=Ready pod -l app=web --timeout=120s
for number in 1 2; do
  containers+=("$name-out$number")
  docker run -d --rm --name "$name-out$number" --network kind --ip "$prefix.20$number" busybox:1.36 \
    sh -c "mkdir /www && echo out$number >/www/index.html && httpd -f -p 8080 -h /www" >/dev/null
done
containers+=("$name-client")
docker run -d --rm --name "$name-client" --network kind busybox:1.36 sleep 1000000 >/dev/null
ask() { docker exec "$name-client" wget -q -T 5 -O - "http://$1/"; }
# served ADDRESS NAME...: answers come from exactly these.
served() {
  local address=$1 seen
  shift
  seen=$(for _ in 1 2 3 4 5 6; do ask "$address" || echo failed; done | sort -u | tr '\n' ' ')
  [ "$seen" = "$(printf '%s\n' "$@" | sort -u | tr '\n' ' ')" ] || { echo "$address is served by: $seen"; return 1; }
}
# What kube-lvs may change on a node. kube-proxy's rules are its own affair, and change with each Service.
state() {
  docker exec "$1" sh -c 'ip -o -4 addr show; ip route show table all
    for f in $(find /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/vs -type f 2>/dev/null); do
      echo "$f $(cat "$f" 2>/dev/null)"; done
    cat /proc/net/ip_vs; nft list tables 2>/dev/null | grep lvs' |
    grep -vE 'veth|valid_lft|^ *$' | sort
}
for node in "${workers[@]}"; do state "$node" >"$folder/before-$node"; done

step "helm install"
helm install kube-lvs charts/kube-lvs --namespace kube-lvs --create-namespace --wait --timeout 5m
kubectl apply -f - <<YAML
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata: {name: direct}
spec:
  addresses: [$direct]
  ports: [{port: 80}]
  scheduler: rr
  forwarding: DR
  realServers: {selector: {matchLabels: {app: direct}}}
---
apiVersion: kube-lvs.io/v1alpha1
kind: VirtualService
metadata: {name: nat}
spec:
  addresses: [$nat]
  ports: [{port: 80, targetPort: 8080}]
  scheduler: rr
  forwarding: NAT
  nat: {masquerade: true}
  realServers: {selector: {matchLabels: {app: nat}}}
YAML
real_server() { # NAME APP SPEC
  printf 'apiVersion: kube-lvs.io/v1alpha1\nkind: RealServer\nmetadata: {name: %s, labels: {app: %s}}\nspec: {%s}\n' "$@" |
    kubectl apply -f -
}
real_server direct-1 direct "nodeName: ${workers[1]}"
real_server direct-2 direct "nodeName: ${workers[2]}"
real_server out1 nat "address: $prefix.201"
real_server out2 nat "address: $prefix.202"
kubectl wait --for=condition=Programmed virtualservice/direct virtualservice/nat --timeout=60s
until_true 30 "both pods serve" served "$direct" "${workers[1]}" "${workers[2]}"
until_true 30 "both machines outside serve" served "$nat" out1 out2

step "upgrade and rollback under load"
load() { # ADDRESS: one line a failure
  while :; do ask "$1" >/dev/null 2>>"$folder/failed-$1" || echo "failed" >>"$folder/failed-$1"; done
}
for address in "$direct" "$nat"; do
  : >"$folder/failed-$address"
  load "$address" &
  loads+=($!)
done
helm upgrade kube-lvs charts/kube-lvs --namespace kube-lvs --set agent.logLevel=debug --set operator.logLevel=debug --wait --timeout 5m
helm rollback kube-lvs 1 --namespace kube-lvs --wait --timeout 5m
step "operator killed, kubelet restarted"
kubectl --namespace kube-lvs delete pod --grace-period=0 --force -l app.kubernetes.io/component=operator
docker exec "${workers[1]}" systemctl restart kubelet
kubectl --namespace kube-lvs rollout status deployment/kube-lvs-operator --timeout=120s
kubectl patch realserver direct-1 --type=merge -p '{"spec":{"weight":0}}'
until_true 60 "the operator that took over resolves" served "$direct" "${workers[2]}"
kubectl patch realserver direct-1 --type=merge -p '{"spec":{"weight":1}}'
kill "${loads[@]}" 2>/dev/null || true
wait "${loads[@]}" 2>/dev/null || true
loads=()
for address in "$direct" "$nat"; do
  [ ! -s "$folder/failed-$address" ] || die "$(wc -l <"$folder/failed-$address") requests to $address failed"
done

step "a node removed"
kubectl delete node "${workers[2]}"
docker exec "${workers[2]}" systemctl stop kubelet
until_true 60 "the node that is left serves alone" served "$direct" "${workers[1]}"

step "helm uninstall"
helm uninstall kube-lvs --namespace kube-lvs --wait --timeout 5m
clean_again() {
  local node
  for node in "${workers[0]}" "${workers[1]}"; do diff "$folder/before-$node" <(state "$node") || return 1; done
}
until_true 120 "the nodes are as before" clean_again
kubectl get crd virtualservices.kube-lvs.io >/dev/null || die "the CRDs are gone, which crds.keep should have kept"
kubectl get virtualservice direct >/dev/null || die "a user's object is gone"
echo "kind: passed"
