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

# Tests run the binaries, and cargo builds those only for tests of their own crate.
cargo build --workspace --bins
exec cargo test --workspace --no-fail-fast "$@"
