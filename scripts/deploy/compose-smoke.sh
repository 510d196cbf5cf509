#!/usr/bin/env bash
# Starts deploy/compose.yml from nothing, in a copy of this working tree, and checks it: a first job runs, a third
# worker joins under load, a restart of Redis loses nothing, and nothing is published beyond loopback. Then it removes
# everything that it started.
#
#   scripts/deploy/compose-smoke.sh [SERVICE …]    default: all services
#
# It needs Docker with Compose 2, curl, and no container named `redis`. The built images stay.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/compose.sh
. "$root/scripts/compose.sh"
find_compose || exit 1
if docker inspect redis >/dev/null 2>&1; then
  echo "A container named redis exists. Stop it first." >&2
  exit 1
fi

export COMPOSE_PROJECT_NAME=atode-smoke ATODE_PORT=${ATODE_PORT:-18080} GRAFANA_PORT=${GRAFANA_PORT:-13000}
gateway=http://127.0.0.1:$ATODE_PORT
copy=$(mktemp -d)
batches=40 # of 1,000 jobs

dc() { "${compose[@]}" -f "$copy/deploy/compose.yml" "$@"; }
say() { printf '\n==> %s (%s s)\n' "$*" "$SECONDS"; }
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

cleanup() {
  local code=$?
  trap - EXIT
  [ -z "${producer:-}" ] || kill "$producer" 2>/dev/null || true
  if [ "$code" != 0 ]; then
    dc ps --all || true
    dc logs --no-color --tail 20 || true
  fi
  say "everything is removed"
  dc --profile '*' down --volumes --timeout 45 || code=1
  # Redis has made its own user the owner of its files.
  docker run --rm -v "$copy/redis/data:/data" redis:8.10.2 rm -rf /data/jobqueue || true
  rm -rf "$copy"
  exit "$code"
}
trap cleanup EXIT

# Repeats a command for SECONDS, until it succeeds.
eventually() { # SECONDS COMMAND…
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "not in time: $*"
    sleep 0.5
  done
}

queue() { curl -fsS "$gateway/v1/queues/default"; }
live_workers_are() { queue | grep -q "\"live_workers\":$1"; }
is_drained() { queue | grep -q '"scheduled":0,"ready":0,"active":0,'; }
# One line per run of a job of the load, such as `load 7-512`, in the order of the logs.
runs() { # WORKER…
  local n
  for n; do docker logs "$COMPOSE_PROJECT_NAME-worker-$n" 2>/dev/null | grep -o 'load [0-9]*-[0-9]*$' || true; done
}

# Sends batches until each job is stored. A batch that got no answer, or 503, is sent again with its key.
produce() { # FIRST LAST
  local body n reply
  for n in $(seq "$1" "$2"); do
    body=$(seq -s , -f "{\"kind\":\"demo:delay_print\",\"payload\":{\"message\":\"load $n-%g\"},\"delay\":\"0s\"}" 1000)
    until reply=$(curl -sS -m 10 "$gateway/v1/jobs/batch" -H 'content-type: application/json' \
      -H "Idempotency-Key: smoke-$n" -d "{\"jobs\":[$body]}" 2>/dev/null) && [[ $reply == *'"rejected":0'* ]]; do
      sleep 0.2
    done
    sleep 0.2
  done
}

git -C "$root" ls-files -z --cached --others --exclude-standard |
  tar -C "$root" --null --ignore-failed-read -T - -c 2>/dev/null | tar -C "$copy" -x

say "up, from nothing, with one command"
"$copy/deploy/compose/up.sh" "$@"
dc ps --format 'table {{.Name}}\t{{.Status}}\t{{.Ports}}'

say "a first job"
reply=$(curl -fsS "$gateway/v1/jobs" -H 'content-type: application/json' \
  -d '{"kind":"demo:delay_print","payload":{"message":"Hello from Compose"},"delay":"1s"}')
id=${reply#*'"id":"'}
id=${id%%'"'*}
curl -fsS "$gateway/v1/jobs/$id?wait=30s" | grep -q '"state":"completed"' || fail "the job did not complete"
dc logs --no-color worker | grep 'Hello from Compose' || fail "no worker has printed the message"
dc run --build --rm atode queues

say "a third worker joins under load"
produce 1 $((batches / 2)) &
producer=$!
dc up --detach --wait --no-deps --no-recreate --scale worker=3 worker
eventually 30 live_workers_are 3
wait "$producer"
eventually 120 is_drained
for n in 1 2 3; do echo "worker-$n: $(runs "$n" | wc -l) runs"; done
[ -n "$(runs 3)" ] || fail "the third worker has run nothing"

say "Redis restarts under load"
produce $((batches / 2 + 1)) "$batches" &
producer=$!
sleep 1
dc restart redis
wait "$producer"
producer=
eventually 120 is_drained
jobs=$(runs 1 2 3 | sort -u | wc -l)
echo "accepted $((batches * 1000)) jobs, run $jobs, in $(runs 1 2 3 | wc -l) runs"
[ "$jobs" = $((batches * 1000)) ] || fail "jobs are lost"
dc run --rm atode audit || fail "the audit has findings"

say "what is reachable"
dc exec -T redis redis-cli ping 2>&1 | grep -q NOAUTH || fail "Redis answers without a password"
for container in $(docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"); do
  docker inspect -f '{{.Name}} read-only={{.HostConfig.ReadonlyRootfs}} caps={{.HostConfig.CapAdd}}' "$container"
  docker port "$container"
  if docker inspect -f '{{range .HostConfig.PortBindings}}{{range .}}{{println .HostIp}}{{end}}{{end}}' "$container" |
    grep -v -e '^127\.0\.0\.1$' -e '^$'; then
    fail "a port is published beyond loopback"
  fi
done

if dc ps --services | grep -qx prometheus; then
  say "Prometheus sees the gateway and three workers"
  targets_are_up() {
    dc exec -T prometheus promtool query instant http://127.0.0.1:9090 'sum(up)' | grep -q '=> 4 '
  }
  eventually 90 targets_are_up
  dc exec -T prometheus promtool query instant http://127.0.0.1:9090 'up'
fi
say "all is well"
