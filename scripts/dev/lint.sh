#!/usr/bin/env bash
# ./dev lint: checks format, clippy, imports and shell scripts. Runs all checks, and fails if one of them fails.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"

[ $# -eq 0 ] || die "usage: ./dev lint" 2
require_cargo
failed=()

check() { # COMMAND ARG…
  say "$*"
  "$@" || failed+=("$1 ${2:-}")
}

check cargo fmt --all --check
check cargo fmt --all --check --manifest-path bench/peers/rust/Cargo.toml
check cargo fmt --all --check --manifest-path examples/own-kinds/Cargo.toml
check cargo clippy --workspace --all-targets -- -D warnings
check scripts/check-imports.sh
# docs/decisions/0013-libraries.md says why.
check cargo tree --quiet --locked --invert idna_adapter@1.0.0 --depth 0
if command -v shellcheck >/dev/null 2>&1; then
  # Sourced files are checked together with the scripts that source them.
  check shellcheck --external-sources --check-sourced dev .ci/run scripts/*.sh scripts/deploy/*.sh scripts/dev/*.sh \
    deploy/compose/*.sh
else
  say "shellcheck is not installed, so shell scripts are not checked."
fi
[ ${#failed[@]} -eq 0 ] || die "failed: $(printf '%s; ' "${failed[@]}")"
