#!/usr/bin/env bash
# ./dev soak: runs a separate system under load and random faults. Arguments go to atode-soak (see --help).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/install.sh
. "$here/lib/install.sh"

require_cargo
find_or_install_redis_server
export REDIS_SERVER=$redis_server
# A debug build, like that of the tests: the soak does not measure speed.
cargo build --package atode-soak
exec target/debug/atode-soak "$@"
