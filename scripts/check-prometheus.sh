#!/usr/bin/env bash
# Checks deploy/prometheus and deploy/grafana:
#
#   - promtool accepts the configuration and the rules, and the tests of the alerts pass
#   - each expression of the dashboard is valid
#   - each alert has a severity, and a section in docs/operations.md, which it names as its runbook
#   - each metric that the rules or the dashboard use is in docs/metrics.md
#
# It needs promtool and jq. PROMTOOL names another promtool than the one on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

promtool=${PROMTOOL:-promtool}
prometheus=deploy/prometheus
dashboards=(deploy/grafana/dashboards/*.json)

for tool in "$promtool" jq; do
  command -v "$tool" >/dev/null && continue
  cat >&2 <<TEXT
$tool is missing. On Debian and Ubuntu:
  apt-get install --no-install-recommends prometheus jq
This starts Prometheus if the machine has systemd. To get promtool alone:
  apt-get download prometheus && dpkg -x prometheus_*.deb prom
  PROMTOOL=\$PWD/prom/usr/bin/promtool scripts/check-prometheus.sh
TEXT
  exit 1
done

failed=0
complain() { # MESSAGE
  echo "$1" >&2
  failed=1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$promtool" check config "$prometheus/prometheus.yml" # and its rule files
"$promtool" test rules "$prometheus/alerts.test.yml"

echo "Checking ${dashboards[*]}"
# Each expression becomes a rule, because promtool checks rules. JSON is valid YAML.
jq -s '[.. | .expr? // empty | gsub("\\$__rate_interval"; "5m")]
  | {groups: [{name: "dashboards", rules: map({record: "dashboard:expression", expr: .})}]}' \
  "${dashboards[@]}" >"$scratch/expressions.yml"
"$promtool" check rules --lint=none "$scratch/expressions.yml"
repeated=$(jq -r '[.panels[].id] | group_by(.)[] | select(length > 1)[0]' "${dashboards[@]}")
[[ -z $repeated ]] || complain "deploy/grafana/dashboards: two panels have the id $repeated"

# A rule starts at "- alert: NAME" or "- record: NAME".
rules=$(awk '
  function end() { if (alert) print alert, severity ? severity : "-", runbook ? runbook : "-" }
  $1 == "-" && $2 ~ /^(alert|record):$/ { end(); alert = $2 == "alert:" ? $3 : ""; severity = runbook = "" }
  $1 == "labels:" && match($0, /severity: [a-z]+/) { severity = substr($0, RSTART + 10, RLENGTH - 10) }
  $1 == "runbook:" { runbook = $2 }
  END { end() }' "$prometheus/alerts.yml")
while read -r alert severity runbook; do
  [[ $severity == page || $severity == ticket ]] ||
    complain "alert $alert: its severity is $severity, which is neither page nor ticket"
  [[ $runbook == "docs/operations.md#${alert,,}" ]] ||
    complain "alert $alert: its runbook is $runbook, not docs/operations.md#${alert,,}"
  grep -qxE "#+ $alert" docs/operations.md || complain "alert $alert has no section in docs/operations.md"
  grep -q "alertname=\"$alert\"" "$prometheus/alerts.test.yml" || complain "alert $alert has no test"
done <<<"$rules"
while read -r section; do
  grep -q "^$section " <<<"$rules" || complain "docs/operations.md has a section $section, but there is no such alert"
done < <(grep -oxE '#+ Atode\w+' docs/operations.md | tr -d '# ')

# Names with a colon are recorded by alerts.yml itself. Histograms are documented without their suffixes.
used=$(grep -ohE '[a-z_:0-9]*atode_[a-z_0-9:]+' "$prometheus/alerts.yml" "${dashboards[@]}" | grep -v : |
  sed -E 's/_seconds_(bucket|sum|count)$/_seconds/' | sort -u)
for metric in $used; do
  grep -q "^| \`$metric\`" docs/metrics.md || complain "docs/metrics.md has no row for $metric"
done
recorded=$(grep -oP '^ +- record: \K\S+' "$prometheus/alerts.yml")
while read -r name; do
  grep -qx "$name" <<<"$recorded" || complain "$name is used, but alerts.yml does not record it"
done < <(grep -ohE 'atode:[a-z_0-9:]+' "${dashboards[@]}" "$prometheus/alerts.yml" | sort -u)

((failed == 0)) && echo "$(cut -d' ' -f1 <<<"$rules" | sort -u | wc -l) alerts, $(wc -w <<<"$used") metrics: all documented"
exit "$failed"
