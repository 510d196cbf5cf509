#!/usr/bin/env bash
# ./dev test: installs what the tests need, builds once, runs all tests. Further arguments go to cargo test.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/install.sh
. "$here/lib/install.sh"

if [ "${1:-}" = --yes ]; then
  assume_yes=yes
  shift
fi
require_cargo
find_or_install_redis_server
export REDIS_SERVER=$redis_server

last_release=$("$root/scripts/build-last-release.sh")
export ATODE_TEST_LAST_GATEWAY=$last_release/api-gateway ATODE_TEST_LAST_WORKER=$last_release/worker

# Tests run the binaries, and cargo builds those only for tests of their own crate.
cargo build --workspace --bins
# Most tests wait for Redis, timeouts and delays more than they compute.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}
status=0
cargo test --workspace --no-fail-fast "$@" || status=1

# Whoever adds a kind must not break a test: what looks at kinds runs again with a gateway and a worker that have more.
if [ $# -eq 0 ]; then
  say "The example workspace, with the versions and the target folder of this one:"
  cp Cargo.lock examples/own-kinds/Cargo.lock
  (cd examples/own-kinds && cargo test --no-fail-fast) || status=1

  say "Once more, with further kinds of jobs:"
  # --workspace, because one package alone needs fewer features of its dependencies and would build them all again.
  ATODE_TEST_API_GATEWAY=soak-gateway ATODE_TEST_WORKER=soak-worker \
    cargo test --workspace --no-fail-fast --test catalogue --test jobs --test pages --test old_service || status=1
fi
exit $status
