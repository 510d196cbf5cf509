#!/usr/bin/env bash
# Starts or stops Redis Insight in Docker, on a developer's machine. Start Redis first.
#
#   scripts/start-redis-insight.sh {start|stop}
#
# This script is for development only. In staging and production, Redis Insight is started by the tools that
# manage its server, with or without docker-compose.redis-insight.yml.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/compose.sh
. "$root/scripts/compose.sh"
file=$root/docker-compose.redis-insight.yml

start() {
  if ! docker network inspect redis-network >/dev/null 2>&1 || ! container_is redis healthy; then
    echo "Redis does not run in Docker. Start it first: scripts/start-redis.sh start" >&2
    exit 1
  fi
  if ! container_is redis-insight healthy && ! container_is redis-insight starting && port_is_taken 8001; then
    echo "Port 8001 is already in use. Stop the program that uses it first." >&2
    exit 1
  fi
  if ! "${compose[@]}" -f "$file" up --detach; then
    echo "Docker could not start Redis Insight; see the reason above." >&2
    exit 1
  fi
  wait_until_healthy redis-insight 120
  echo "Redis Insight runs at http://127.0.0.1:8001. Accept its terms there once; then the connection"
  echo "\"atode job queue\" appears."
}

stop() {
  "${compose[@]}" -f "$file" down
  echo "Redis Insight is stopped; its settings stay in the volume redis-insight-data."
}

usage() {
  sed -n '/^#   scripts/,/^set/{ /^set/!s/^# \{0,1\}//p; }' "$0"
}

wrong_usage() {
  usage >&2
  exit 2
}

[ $# -eq 1 ] || wrong_usage
case $1 in
start | stop) ;;
-h | --help)
  usage
  exit
  ;;
*) wrong_usage ;;
esac
find_compose || exit 1
refuse_foreign_container redis-insight "$root"
"$1"
