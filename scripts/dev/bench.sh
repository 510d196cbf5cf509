#!/usr/bin/env bash
# ./dev bench: builds the peers whose toolchain is installed, then runs the benchmarks, or some sections of them.
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
          each starts its own redis-servers. Without a SECTION, all of them run (some 20 minutes)
          pure: code that needs no Redis, with criterion
--write   write docs/benchmarks.md and its plots; only without a SECTION
--quick   small and short, to check that everything works
--yes     install redis-server without asking if it is missing
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
  die "--write works only without a SECTION" 2
fi

require_cargo
if [ $pure = yes ]; then
  cargo bench --package atode-queue --bench records --bench history
  cargo bench --package atode-jobs --bench kinds
  [ ${#sections[@]} -gt 0 ] || exit 0
fi
# Checked now, not after minutes of building.
case " ${sections[*]-} " in
" http ")
  command -v wrk >/dev/null 2>&1 || die "the section http needs wrk. Install it: apt-get install wrk, or brew install wrk"
  ;;
"  " | *" http "*)
  command -v wrk >/dev/null 2>&1 || warn "wrk is not installed, so nothing is measured over HTTP. Install it: apt-get install wrk, or brew install wrk"
  ;;
esac
find_or_install_redis_server
export REDIS_SERVER=$redis_server

# If a peer cannot be built, the comparison skips it and says so.
peer() { # TOOLCHAIN FOLDER COMMAND…
  local toolchain=$1 folder=$root/bench/peers/$2
  shift 2
  if command -v "$toolchain" >/dev/null 2>&1; then
    say "bench/peers/${folder##*/}: $*"
    (cd "$folder" && "$@") || warn "bench/peers/${folder##*/} could not be built. The reason is above."
  else
    warn "bench/peers/${folder##*/} is not built, because $toolchain is not installed."
  fi
}

case " ${sections[*]-} " in
"  " | *" compare "* | *" concurrency "*)
  peer go asynq go build -o peer-asynq .
  peer npm bullmq npm ci --no-audit --no-fund --loglevel=error
  # The comparison looks only in the default target folder.
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
