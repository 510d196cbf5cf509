#!/usr/bin/env bash
# Builds the images of api-gateway, worker and atode, and checks each: it starts on a read-only file system as a user
# without rights, and is smaller than 40 MB.
#
#   scripts/deploy/build-images.sh [TAG]    default: the version in Cargo.toml
#
# SOURCE, the address of the repository, becomes a label. From a working tree without changes, the build is named after
# its commit; otherwise after a hash of the sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tag=${1:-$version}
arguments=(--build-arg "VERSION=$version" --build-arg "SOURCE=${SOURCE:-}")
if commit=$(git rev-parse HEAD 2>/dev/null) && [ -z "$(git status --porcelain)" ]; then
  # The time of the commit, not of the build, so that a second build gives the same image.
  arguments+=(
    --build-arg "ATODE_BUILD=$version+${commit:0:12}"
    --build-arg "REVISION=$commit"
    --build-arg "CREATED=$(git log -1 --format=%cI)"
  )
fi

for name in api-gateway worker atode; do
  image=atode/$name:$tag
  echo "==> $image"
  docker build --quiet -f deploy/Dockerfile --target "$name" -t "$image" "${arguments[@]}" .
  docker run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges "$image" --version
  user=$(docker image inspect -f '{{.Config.User}}' "$image")
  size=$(docker image inspect -f '{{.Size}}' "$image")
  echo "user $user, $((size / 1000000)) MB"
  if [ "$user" != 65532:65532 ] || [ "$size" -ge 40000000 ]; then
    echo "$image must run as 65532:65532 and be smaller than 40 MB." >&2
    exit 1
  fi
done
