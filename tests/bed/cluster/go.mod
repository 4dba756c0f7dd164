// What a node of the test bed's cluster runs besides kubelet and runc: container runtime and pod network.
module kube-lvs.io/tests/cluster

go 1.26.6

require (
	github.com/containerd/containerd/v2 v2.4.2
	github.com/containernetworking/plugins v1.9.1
)
