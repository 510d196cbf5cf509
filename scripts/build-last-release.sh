#!/usr/bin/env bash
# Builds the api-gateway and the worker of the last release, for the tests of upgrades, and prints their folder. They are
# built once per release.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

# The commit that counts as the last release until there is a tag.
before_the_first_tag=d1fd8fc12df09090897bf6bc15dd2a94710318db

# The release commit itself is compared with the release before it.
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null); then
  commit=$(git rev-parse "$tag^{commit}")
else
  commit=$before_the_first_tag
fi
case ${CARGO_TARGET_DIR:-target} in
/*) target=$CARGO_TARGET_DIR ;;
*) target=$root/${CARGO_TARGET_DIR:-target} ;;
esac
release=$target/last-release/$commit
if [ ! -x "$release/worker" ]; then
  git cat-file -e "$commit^{commit}" 2>/dev/null || git fetch --quiet --depth 1 origin "$commit" || {
    echo "The last release ($commit) is not in this clone, so upgrades cannot be tested. Fetch it: git fetch --unshallow" >&2
    exit 1
  }
  mkdir -p "$release/source"
  git archive "$commit" | tar -x -C "$release/source"
  echo "Building the last release (${tag:-$commit}) …" >&2
  # In a target folder of its own: cargo tells the crates of two workspaces in one folder apart by the times of their
  # files only.
  (cd "$release/source" && CARGO_TARGET_DIR=$release/target cargo build --quiet --locked --package api-gateway --package worker) >&2
  mv "$release/target/debug/api-gateway" "$release/target/debug/worker" "$release/"
  rm -rf "$release/source" "$release/target"
fi
echo "$release"
