#!/usr/bin/env bash
# ./dev fmt: formats the Rust code. Arguments go to cargo fmt.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"

require_cargo
exec cargo fmt --all "$@"
