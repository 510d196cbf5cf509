#!/usr/bin/env bash
# Checks the OpenAPI document of a real gateway: lints it, makes a client of it for TypeScript, Python and Go, and lets
# each of them enqueue a job and wait until a worker has completed it.
#
#   scripts/check-openapi.sh               check
#
# It needs Node.js 20 with npm, Python 3 with venv, Go, curl and redis-server (REDIS_SERVER names another one). Tools,
# clients and the document go into target/openapi. Versions are in scripts/openapi/ and below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python_client_version=0.29.1
oapi_codegen_version=v2.8.2

sources=scripts/openapi
work=$PWD/target/openapi
tools=$work/tools
started=$(date +%s)

missing() { # WHAT INSTALL
  echo "the OpenAPI document is not checked: $1 is missing. $2" >&2
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

[ $# -eq 0 ] || {
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
redis_server=${REDIS_SERVER:-redis-server}
command -v "$redis_server" >/dev/null || missing redis-server 'Install it: apt-get install redis-server'
command -v curl >/dev/null || missing curl 'Install it: apt-get install curl'
command -v npm >/dev/null || missing npm 'Install Node.js 20: https://nodejs.org'
command -v go >/dev/null || missing Go 'Install it: https://go.dev/doc/install'
command -v python3 >/dev/null || missing Python 'Install it: apt-get install python3-venv'

mkdir -p "$tools"
if ! cmp -s $sources/package-lock.json "$tools/node/ready"; then
  echo "installing the tools of npm (once) …"
  mkdir -p "$tools/node"
  cp $sources/package.json $sources/package-lock.json "$tools/node/"
  npm ci --prefix "$tools/node" --no-audit --no-fund --loglevel=error
  cp $sources/package-lock.json "$tools/node/ready"
fi
venv=$tools/openapi-python-client-$python_client_version
if [ ! -e "$venv/ready" ]; then
  echo "installing openapi-python-client $python_client_version (once) …"
  python3 -m venv --clear "$venv" >/dev/null || missing "Python's venv" 'Install it: apt-get install python3-venv'
  "$venv/bin/pip" install --quiet --disable-pip-version-check "openapi-python-client==$python_client_version"
  touch "$venv/ready"
fi
oapi_codegen=$tools/oapi-codegen-$oapi_codegen_version/oapi-codegen
if [ ! -x "$oapi_codegen" ]; then
  echo "building oapi-codegen $oapi_codegen_version (once) …"
  GOBIN=$(dirname "$oapi_codegen") go install "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$oapi_codegen_version"
fi
cargo build --quiet --package api-gateway --package worker
built=${CARGO_TARGET_DIR:-target}/debug
ready=$(date +%s)

# A Redis, a gateway and a worker on free ports.
processes=()
stop_all() {
  local process
  for process in ${processes[@]+"${processes[@]}"}; do
    kill "$process" 2>/dev/null || true
  done
  wait
}
trap stop_all EXIT

eventually() { # WHAT COMMAND…
  local what=$1 tries=0
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || {
      echo "after 20 s, still not: $what. The logs are in $work" >&2
      exit 1
    }
    sleep 0.1
  done
}

redis_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$redis_server" --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" &
processes+=($!)
export APP_ENV=test APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=127.0.0.1:$redis_port
"$built/api-gateway" --port 0 2>"$work/gateway.log" &
processes+=($!)
"$built/worker" >"$work/worker.out" 2>"$work/worker.log" &
processes+=($!)
eventually "the gateway listens" grep -q 'listening on http' "$work/gateway.log"
url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$work/gateway.log" | head -n 1)
eventually "the gateway is ready" curl --fail --silent "$url/readyz"
document=$work/openapi.json
curl --fail --silent --show-error "$url/openapi.json" >"$document"

REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
  "$tools/node/node_modules/.bin/redocly" lint --config $sources/redocly.yaml --format stylish "$document"

typescript() {
  rm -rf "$work/typescript"
  mkdir -p "$work/typescript"
  cp $sources/smoke.ts $sources/tsconfig.json $sources/package.json "$work/typescript/"
  ln -s "$tools/node/node_modules" "$work/typescript/node_modules"
  "$tools/node/node_modules/.bin/openapi-typescript" "$document" --output "$work/typescript/schema.ts" >"$work/typescript/log"
  (cd "$work/typescript" && "$tools/node/node_modules/.bin/tsc" && node built/smoke.js "$url")
}

python() {
  # A warning says that the client lacks a part of the API.
  rm -rf "$work/python"
  mkdir -p "$work/python"
  "$venv/bin/openapi-python-client" generate --path "$document" --output-path "$work/python/atode_client" --meta none \
    --config $sources/openapi-python-client.yaml --fail-on-warning >"$work/python/log" || {
    cat "$work/python/log" >&2
    return 1
  }
  PYTHONPATH=$work/python "$venv/bin/python" $sources/smoke.py "$url"
}

golang() {
  rm -rf "$work/go"
  mkdir -p "$work/go/atode"
  cp $sources/go.mod $sources/go.sum $sources/oapi-codegen.yaml "$work/go/"
  cp $sources/smoke.go "$work/go/main.go"
  (cd "$work/go" && "$oapi_codegen" --config oapi-codegen.yaml "$document" && go vet ./... && go run . "$url")
}

typescript
python
golang
echo "OpenAPI document checked in $(($(date +%s) - ready)) s (tools and build: $((ready - started)) s)"
