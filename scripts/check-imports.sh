#!/usr/bin/env bash
# Checks the layers of docs/architecture.md. Crates import each other in one direction:
#
#   config ← queue ← {audit, jobs} ← {api-gateway, worker, cli}      config ← ratelimit ← api-gateway
#
# fred, actix-web, figment and OpenTelemetry stay in the crates that hide them. testkit is for tests, bench and soak only. These are
# never shipped and may import every crate.
# Prints each violation, and exits with 1 if there is one. Circles of files inside a crate are found by a test,
# crates/testkit/tests/file_cycles.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The workspace's own crates that a crate may import.
may_import() { # CRATE
  case $1 in
  atode-config | atode-testkit | peer-protocol) ;;
  atode-queue | atode-ratelimit) echo atode-config ;;
  atode-audit | atode-jobs) echo atode-config atode-queue ;;
  worker) echo atode-config atode-queue atode-jobs ;;
  atode) echo atode-audit atode-config atode-queue atode-jobs ;;
  api-gateway) echo atode-config atode-queue atode-jobs atode-ratelimit ;;
  atode-bench) echo atode-audit atode-config atode-queue atode-jobs worker api-gateway atode-testkit peer-protocol ;;
  atode-soak) echo atode-config atode-queue atode-jobs worker api-gateway atode-testkit ;;
  *) return 1 ;;
  esac
}

# The crates that may import a restricted package.
importers_of() { # PACKAGE
  case $1 in
  fred) echo atode-config atode-queue atode-ratelimit ;;
  actix-* | actix) echo api-gateway worker atode-bench ;;
  figment | opentelemetry | opentelemetry_sdk | opentelemetry-http | opentelemetry-otlp) echo atode-config ;;
  *) return 1 ;;
  esac
}

contains() { # LIST WORD
  case " $1 " in *" $2 "*) true ;; *) false ;; esac
}

# One line "KIND CRATE PACKAGE [own]" per direct dependency.
dependencies() {
  local kind
  for kind in normal build dev; do
    cargo tree --quiet --workspace --edges "$kind" --target all --all-features \
      --depth 1 --no-dedupe --prefix depth --format ' {p}' |
      awk -v kind="$kind" '$1 == "0" { crate = $2 } $1 == "1" { print kind, crate, $2, (/\(\/|\([A-Z]:/ ? "own" : "") }'
  done
}

violations() {
  local kind crate package own allowed
  while read -r kind crate package own; do
    if ! allowed=$(may_import "$crate"); then
      echo "$crate has no layer yet: add it to scripts/check-imports.sh"
    elif [ "$package" = atode-testkit ] && [ "$kind" = dev ]; then
      :
    elif [ "$package" = atode-testkit ]; then
      contains "$allowed" "$package" || echo "$crate imports atode-testkit, which is for tests only: move it to [dev-dependencies]"
    elif [ -n "$own" ]; then
      contains "$allowed" "$package" || echo "$crate imports $package; of the workspace it may import only: ${allowed:-nothing}"
    elif allowed=$(importers_of "$package"); then
      contains "$allowed" "$crate" || echo "$crate imports $package, which only these crates may import: $allowed"
    fi
  done <<<"$all"
  # In the worker, only the probe module uses actix-web.
  grep -rnE '^[^/]*\bactix(_[a-z]+)?::' crates/worker/src --include='*.rs' --exclude=probe.rs |
    sed 's/$/   ← in the worker, only src\/probe.rs may use actix-web/' || true
}

all=$(dependencies)
[ -n "$all" ] || {
  echo "cargo tree names no dependency: nothing was checked" >&2
  exit 1
}
found=$(violations | sort -u)
if [ -n "$found" ]; then
  echo "$found"
  exit 1
fi
