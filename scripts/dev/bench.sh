#!/usr/bin/env bash
# ./dev bench: builds the peers whose toolchain is there, compares, then runs our own benches.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/install.sh
. "$here/lib/install.sh"

usage="usage: ./dev bench [--yes] [--compare-only] [ARG…]   (ARG: see atode-bench compare --help)"
compare_only=no
args=()
for arg in "$@"; do
  case $arg in
  -h | --help)
    echo "$usage"
    exit
    ;;
  --yes) assume_yes=yes ;;
  --compare-only) compare_only=yes ;;
  *) args+=("$arg") ;;
  esac
done

require_cargo
find_or_install_redis_server
export REDIS_SERVER=$redis_server

# A peer that can't be built is no reason to measure nothing: the comparison says that it is skipped.
peer() { # TOOLCHAIN FOLDER COMMAND…
  local toolchain=$1 folder=$root/bench/peers/$2
  shift 2
  if command -v "$toolchain" >/dev/null 2>&1; then
    say "bench/peers/${folder##*/}: $*"
    (cd "$folder" && "$@") || warn "bench/peers/${folder##*/} could not be built: the reason stands above."
  else
    warn "bench/peers/${folder##*/} is not built: $toolchain is not installed."
  fi
}

peer go asynq go build -o peer-asynq .
peer npm bullmq npm ci --no-audit --no-fund --loglevel=error
# A target folder of the caller's would put them where the comparison does not look.
peer cargo rust env -u CARGO_TARGET_DIR cargo build --release --locked
cargo build --release --package atode-bench --package api-gateway

bench=$(built release)/atode-bench
say "side by side"
"$bench" compare ${args[@]+"${args[@]}"}
[ "$compare_only" = no ] || exit 0

say "the limits"
"$bench" limits redis
wrk_benches=no
if command -v wrk >/dev/null 2>&1; then
  wrk_benches=yes
  "$bench" limits http
else
  warn "POST /v1/jobs is not measured: wrk is not installed."
fi
say "ours alone"
"$bench" throughput
"$bench" lateness
"$bench" burst
"$bench" decisions
[ "$wrk_benches" = no ] || "$bench" limiter
