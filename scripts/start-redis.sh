#!/usr/bin/env bash
# Starts or stops the Redis of the job queue in Docker, on a developer's machine.
#
#   scripts/start-redis.sh {start|stop}
#
# This script is for development only. In staging and production, Redis is started by the tools that manage
# those servers, with or without docker-compose.redis.yml.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/compose.sh
. "$root/scripts/compose.sh"
file=$root/docker-compose.redis.yml

start() {
  if ! container_is redis healthy && ! container_is redis starting && port_is_taken 6379; then
    echo "Port 6379 is already in use, perhaps by another Redis. Stop that one first." >&2
    exit 1
  fi
  # Created here, because Docker would create it as root. The image makes its own user (uid 999) the owner.
  mkdir -p "$root/redis/data/jobqueue"
  if ! "${compose[@]}" -f "$file" up --detach; then
    echo "Docker could not start Redis; see the reason above." >&2
    exit 1
  fi
  wait_until_healthy redis 120
  echo "Redis runs at 127.0.0.1:6379; its data is in redis/data/jobqueue."
}

stop() {
  "${compose[@]}" -f "$file" down
  echo "Redis is stopped; its data stays in redis/data/jobqueue."
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
refuse_foreign_container redis "$root"
"$1"
