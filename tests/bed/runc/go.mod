// What starts a container. On its own: together with containerd it would get newer dependencies than it compiles with.
module kube-lvs.io/tests/runc

go 1.26.0

require github.com/opencontainers/runc v1.3.4
