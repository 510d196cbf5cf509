#!/usr/bin/env bash
# ./dev bench: builds the peers whose toolchain is there, then measures: all of the suite, or some of its sections.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/install.sh
. "$here/lib/install.sh"

usage() {
  cat <<'TEXT'
usage: ./dev bench [--yes] [--write] [--quick] [SECTION…]

SECTION   compare, http, floor, cost, depth, concurrency, deep-lateness, workers, calls, idle, memory:
          measured on redis-servers of their own; without any, all of them (some 20 minutes)
          pure: what needs no Redis, by criterion
--write   writes docs/benchmarks.md and its plots; for the whole
--quick   small and short, to see that all works
--yes     install a missing redis-server without asking
TEXT
}

write=()
quick=()
sections=()
pure=no
for arg in "$@"; do
  case $arg in
  -h | --help)
    usage
    exit
    ;;
  --yes) assume_yes=yes ;;
  --write) write=(--write) ;;
  --quick) quick=(--quick) ;;
  pure) pure=yes ;;
  -*)
    usage >&2
    exit 2
    ;;
  *) sections+=("$arg") ;;
  esac
done
if [ ${#write[@]} -gt 0 ] && { [ $pure = yes ] || [ ${#sections[@]} -gt 0 ]; }; then
  die "--write is for the whole: without a SECTION" 2
fi

require_cargo
if [ $pure = yes ]; then
  cargo bench --package atode-queue --bench records
  cargo bench --package atode-jobs --bench kinds
  [ ${#sections[@]} -gt 0 ] || exit 0
fi
# Said now, not after minutes of building.
case " ${sections[*]-} " in
" http ")
  command -v wrk >/dev/null 2>&1 || die "the section http needs wrk, which is not installed: apt-get install wrk, or brew install wrk"
  ;;
"  " | *" http "*)
  command -v wrk >/dev/null 2>&1 || warn "wrk is not installed: nothing will be measured over HTTP. apt-get install wrk, or brew install wrk"
  ;;
esac
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

case " ${sections[*]-} " in
"  " | *" compare "* | *" concurrency "*)
  peer go asynq go build -o peer-asynq .
  peer npm bullmq npm ci --no-audit --no-fund --loglevel=error
  # A target folder of the caller's would put them where the comparison does not look.
  peer cargo rust env -u CARGO_TARGET_DIR cargo build --release --locked
  ;;
esac
cargo build --release --package atode-bench --package api-gateway --package worker

bench=$(built release)/atode-bench
if [ ${#sections[@]} -eq 0 ]; then
  exec "$bench" all ${write[@]+"${write[@]}"} ${quick[@]+"${quick[@]}"}
fi
for section in "${sections[@]}"; do
  "$bench" "$section" ${quick[@]+"${quick[@]}"}
done
