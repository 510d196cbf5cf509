#!/usr/bin/env bash
# Renders deploy/helm/atode and deploy/kubernetes, and checks the result with check_kubernetes.py. Needs no cluster.
#
#   scripts/check-kubernetes.sh            check
#   scripts/check-kubernetes.sh --write    renew the copies of deploy/prometheus/alerts.yml, then check
#
# It needs Go, and Python 3 with venv. Helm, kustomize and the schemas of Kubernetes go into target/kubernetes, once per
# version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

helm_version=v4.3.1
kustomize_version=v5.8.2
schemas_version=1.37.0
# The oldest that docs/scaling.md allows, and a new one.
keda_versions='v2.17.0 v2.21.0'
operator_versions='v0.70.0 v0.85.0'

work=target/kubernetes
tools=$work/tools
rendered=$work/rendered
crds=$work/crds
chart=deploy/helm/atode
alerts=deploy/prometheus/alerts.yml
started=$(date +%s)

missing() { # WHAT INSTALL
  echo "deploy/kubernetes and deploy/helm are not checked: $1 is missing. $2" >&2
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

# Builds a Go program into a folder of its version, unless it is there.
go_tool() { # NAME PACKAGE VERSION
  local folder=$tools/$1-$3
  [ -x "$folder/$1" ] && return
  command -v go >/dev/null || missing Go 'Install it: https://go.dev/doc/install'
  echo "building $1 $3 (once) …"
  GOBIN=$PWD/$folder go install "$2@$3"
}

# PrometheusRule needs the alerts in a folder of the chart, and of the component.
alerts_of_component() {
  cat <<'YAML'
# Generated from deploy/prometheus/alerts.yml by scripts/check-kubernetes.sh --write. Edit that file instead.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: atode
spec:
YAML
  sed 's/^\(.\)/  \1/' "$alerts"
}

case ${1:-} in
'' | --write) ;;
*)
  sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac

if [ "${1:-}" = --write ]; then
  cp "$alerts" $chart/files/alerts.yml
  alerts_of_component >deploy/kubernetes/components/monitoring/alerts.yaml
fi
if ! cmp -s "$alerts" $chart/files/alerts.yml ||
  ! alerts_of_component | cmp -s - deploy/kubernetes/components/monitoring/alerts.yaml; then
  echo "The copies of $alerts are old: run scripts/check-kubernetes.sh --write" >&2
  exit 1
fi

# Fetches definitions of kinds from the source of an operator, which the Go proxy has.
definitions() { # NAME MODULE VERSION FILE…
  local folder=$crds/$1-$3 module=$2 version=$3 source
  shift 3
  source=$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  mkdir -p "$folder"
  cp "${@/#/$source/}" "$folder"
}

go_tool helm helm.sh/helm/v4/cmd/helm $helm_version
go_tool kustomize sigs.k8s.io/kustomize/kustomize/v5 $kustomize_version
venv=$tools/kubernetes-validate-$schemas_version
if [ ! -e "$venv/ready" ]; then
  command -v python3 >/dev/null || missing Python 'Install it: apt-get install python3-venv'
  python3 -m venv --clear "$venv" >/dev/null || missing "Python's venv" 'Install it: apt-get install python3-venv'
  "$venv/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$schemas_version"
  touch "$venv/ready"
fi
rm -rf "$crds"
for version in $keda_versions; do
  definitions KEDA github.com/kedacore/keda/v2 "$version" config/crd/bases/keda.sh_scaledobjects.yaml
done
for version in $operator_versions; do
  definitions Prometheus-operator github.com/prometheus-operator/prometheus-operator "$version" \
    example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,prometheusrules}.yaml
done
helm=$tools/helm-$helm_version/helm
kustomize=$tools/kustomize-$kustomize_version/kustomize
ready=$(date +%s)

rm -rf "$rendered"
mkdir -p "$rendered"
for values in "$chart"/ci/*.yaml; do
  name=$(basename "$values" .yaml)
  "$helm" lint --quiet --strict "$chart" --values "$values"
  "$helm" template atode "$chart" --namespace atode --values "$values" >"$rendered/helm-$name.yaml"
done
for overlay in deploy/kubernetes/overlays/*/; do
  "$kustomize" build "$overlay" >"$rendered/kustomize-$(basename "$overlay").yaml"
done
# The component that no overlay has, with the settings of staging.
mkdir -p "$work/traces"
cat >"$work/traces/kustomization.yaml" <<'YAML'
namespace: atode
resources: [../../../deploy/kubernetes/overlays/staging]
components: [../../../deploy/kubernetes/components/traces]
YAML
"$kustomize" build "$work/traces" >"$rendered/kustomize-traces.yaml"

# Values that the chart must refuse, with the words that its message must have.
while read -r words values; do
  # shellcheck disable=SC2086 # several values
  if answer=$("$helm" template atode "$chart" --values "$chart/ci/minimal.yaml" --set $values 2>&1); then
    echo "the chart accepts --set $values" >&2
    exit 1
  elif [[ $answer != *"$words"* ]]; then
    printf 'the chart refuses --set %s without the word %s:\n%s\n' "$values" "$words" "$answer" >&2
    exit 1
  fi
done <<'REFUSED'
authentication auth.enabled=true
authentication ingress.enabled=true
redis.jobqueue.addr redis.jobqueue.addr=
either redis.jobqueue.sentinel.master=jobs
queues workers.default.autoscaling.enabled=true
minReplicas gateway.autoscaling.enabled=true,gateway.autoscaling.minReplicas=9
replicaCount gateway.replicaCount=3
jobqueue redis.jobqueue.addr=redis
REFUSED

"$venv/bin/python" scripts/check_kubernetes.py "$rendered" "$crds"
echo "Kubernetes manifests checked in $(($(date +%s) - ready)) s (tools: $((ready - started)) s)"
