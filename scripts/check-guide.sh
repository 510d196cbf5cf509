#!/usr/bin/env bash
# Runs the programs of docs/guide.md in all its languages with a real gateway and a real worker.
#
# It needs curl, jq, Python 3, Node.js 20 with npm, Go 1.24 and redis-server. TypeScript's compiler goes into
# target/guide.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

typescript=5.9.3
node_types=20.19.0

for tool in curl jq python3 npm go; do
  command -v "$tool" >/dev/null || {
    echo "the guide is not checked: $tool is missing. Install it (Node.js: https://nodejs.org, Go: https://go.dev)" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
  }
done
if [ "$(cat target/guide/ready 2>/dev/null)" != "$typescript $node_types" ]; then
  echo "installing TypeScript $typescript (once) …"
  npm install --prefix target/guide --no-audit --no-fund --loglevel=error \
    "typescript@$typescript" "@types/node@$node_types"
  echo "$typescript $node_types" >target/guide/ready
fi
# The tests run these programs.
cargo build --quiet --package api-gateway --package worker
ATODE_TEST_GUIDE=all cargo test --quiet --package api-gateway --test guide
