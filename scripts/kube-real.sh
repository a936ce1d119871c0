#!/bin/sh
# kube-real.sh [build | ARGUMENT...]
# Builds a Kubernetes control plane from Go modules, starts it on loopback with
# simulated machines (kwok), and runs the tests of providers/kubernetes with the build
# tag kubereal against it. The first build takes some 20 minutes on two cores and a few
# GB of module and build cache; later runs take a minute. With "build" it only builds.
# A test installs JobSet's definition and plays its controller, which has no module here.
#
# KUBE_REAL_DIR is where the binaries stay; it defaults to a folder in the user's cache.
# KUBE_REAL_PORT is the first of six ports on loopback, 26440 unless said. Further
# arguments go to go test. Nothing outside that folder and a temporary one is written, and
# what is started here is ended here.
set -eu

kubernetes=v1.37.2
libraries=v0.37.2 # of k8s.io/client-go and its siblings, which belong to that release
etcd=v3.7.3
kwok=v0.8.0

root=$(cd "$(dirname "$0")/.." && pwd)
dir=${KUBE_REAL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/purser/kube-$kubernetes}
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-trimpath -buildvcs=false -mod=mod"
mkdir -p "$dir/bin"

# module NAME REQUIREMENT: an empty module that only requires one thing.
module() {
    mkdir -p "$dir/src/$1"
    cd "$dir/src/$1"
    printf 'module %s\n\ngo 1.26.0\n\nrequire %s\n' "$1" "$2" >go.mod
}

# build NAME PACKAGE: builds one program of the module in the working folder.
build() {
    [ -x "$dir/bin/$1" ] || sh "$root/scripts/step.sh" "$1" go build -o "$dir/bin/$1" "$2"
}

# Kubernetes' own go.mod points at folders of its repository, which its module lacks:
# each of them is a module of its own.
if [ ! -x "$dir/bin/kube-apiserver" ] || [ ! -x "$dir/bin/kube-controller-manager" ] || [ ! -x "$dir/bin/kube-scheduler" ]; then
    module kube "k8s.io/kubernetes $kubernetes"
    gomod=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^.*"GoMod": "\(.*\)",*$/\1/p')
    sed -n "s|^\t*\(k8s.io/[a-z0-9-]*\) v0\.0\.0\$|replace \1 => \1 $libraries|p" "$gomod" >>go.mod
    for program in kube-apiserver kube-controller-manager kube-scheduler; do
        build "$program" "k8s.io/kubernetes/cmd/$program"
    done
fi
module etcd "go.etcd.io/etcd/server/v3 $etcd"
build etcd go.etcd.io/etcd/server/v3
module kwok "sigs.k8s.io/kwok $kwok"
build kwok sigs.k8s.io/kwok/cmd/kwok
[ "${1:-}" != build ] || exit 0

base=${KUBE_REAL_PORT:-26440}
api=https://127.0.0.1:$((base + 1))
work=$(mktemp -d)
started=
stop() {
    code=$?
    trap - EXIT
    for pid in $started; do # the last one first
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ "$code" = 0 ] || tail -n 5 "$work"/*.log >&2 || true
    rm -rf "$work"
    exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME [ARGUMENT...]: runs one of the programs beside this script.
start() {
    program=$1
    shift
    nice -n 10 "$dir/bin/$program" "$@" >"$work/$program.log" 2>&1 &
    started="$! $started"
}

# Whoever starts the tests may do everything; the tests' provider is the service account
# of docs/permissions/kubernetes-role.yaml, and may do what stands there.
admin=$(openssl rand -hex 16)
account=$(openssl rand -hex 16)
cat >"$work/tokens.csv" <<END
$admin,admin,admin,"system:masters"
$account,system:serviceaccount:purser:purser,purser,"system:serviceaccounts,system:serviceaccounts:purser,system:authenticated"
END
openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
cat >"$work/kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: admin
clusters: [{name: real, cluster: {server: "$api", insecure-skip-tls-verify: true}}]
contexts:
  - {name: admin, context: {cluster: real, user: admin}}
  - {name: purser, context: {cluster: real, user: purser}}
users:
  - {name: admin, user: {token: "$admin"}}
  - {name: purser, user: {token: "$account"}}
END

# kwok plays the machines. Its stage that completes a Job's pods at once is left out: the
# tests say when and how a task ends. Pods that are deleted end as a kubelet ends them,
# with a phase that controllers wait for, before they go.
stages=$(cd "$dir/src/kwok" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease pod/fast/pod-ready; do
    cat "$stages/$stage.yaml"
    echo ---
done >"$work/stages.yaml"
cat >>"$work/stages.yaml" <<'END'
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-stop}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
      - {key: .status.phase, operator: In, values: [Running]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      containerStatuses:
      {{ range .spec.containers }}
      - image: {{ .image | Quote }}
        name: {{ .name | Quote }}
        ready: false
        restartCount: 0
        state: {terminated: {exitCode: 143, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
      {{ end }}
      phase: Failed
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
      - {key: .status.phase, operator: NotIn, values: [Running]}
  next: {delete: true}
END

start etcd --data-dir "$work/etcd" --unsafe-no-fsync --listen-client-urls "http://127.0.0.1:$base" --advertise-client-urls "http://127.0.0.1:$base" \
    --listen-peer-urls "http://127.0.0.1:$((base + 2))" --initial-advertise-peer-urls "http://127.0.0.1:$((base + 2))" \
    --initial-cluster "default=http://127.0.0.1:$((base + 2))"
start kube-apiserver --etcd-servers "http://127.0.0.1:$base" --bind-address 127.0.0.1 --secure-port "$((base + 1))" --cert-dir "$work/certs" \
    --service-account-issuer "$api" --service-account-key-file "$work/accounts.key" --service-account-signing-key-file "$work/accounts.key" \
    --token-auth-file "$work/tokens.csv" --authorization-mode RBAC --endpoint-reconciler-type none \
    --service-cluster-ip-range 10.0.0.0/24 --disable-admission-plugins ServiceAccount

ready() {
    tries=0
    until curl -fsk -H "Authorization: Bearer $admin" "$api/readyz" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 120 ] || return 1
        sleep 1
    done
}
ready || { echo "The API server did not become ready within 2 minutes." >&2; exit 1; }

start kube-controller-manager --kubeconfig "$work/kubeconfig" --bind-address 127.0.0.1 --secure-port "$((base + 3))" --cert-dir "$work/certs" \
    --leader-elect=false --concurrent-gc-syncs 4
start kube-scheduler --kubeconfig "$work/kubeconfig" --bind-address 127.0.0.1 --secure-port "$((base + 4))" --cert-dir "$work/certs" --leader-elect=false
start kwok --kubeconfig "$work/kubeconfig" --config "$work/stages.yaml" --manage-all-nodes --node-lease-duration-seconds 40 \
    --server-address "127.0.0.1:$((base + 5))"

cd "$root"
export GOFLAGS="-trimpath -buildvcs=false" KUBE_REAL_CONFIG="$work/kubeconfig"
unset GOWORK
go test -tags kubereal ./providers/kubernetes -count=1 -run '^TestReal' -timeout 10m "$@"
