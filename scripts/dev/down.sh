#!/usr/bin/env bash
# ./dev down: stops everything that ./dev started, including processes of earlier runs that were killed.
# ./dev down worker-2: stops only this worker, which ./dev worker started.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/processes.sh
. "$here/lib/processes.sh"
# shellcheck source=scripts/dev/lib/record.sh
. "$here/lib/record.sh"
recall
# shellcheck source=scripts/dev/lib/settings.sh
. "$here/lib/settings.sh"
# shellcheck source=scripts/dev/lib/redis.sh
. "$here/lib/redis.sh"

case $#:${1:-} in
0:) ;;
1:worker-[0-9]*)
  pid_of "$1" >/dev/null || die "$1 is not running. Running workers of ./dev worker: $(extra_workers | tr '\n' ' ')"
  say "Stopping $(living_of "$1")…"
  stop_processes "$1"
  gone_within 5 "$1.dev" || true # its ./dev worker shows the last lines, then ends
  unfollow "$1"
  if pid_of "$1" >/dev/null; then exit 1; fi
  say "Stopped."
  exit
  ;;
*) die "usage: ./dev down [worker-N]   (without worker-N: stop everything, including Redis)" 2 ;;
esac

found=

# Redis is stopped last, by ./dev up or here, because workers settle their jobs in it.
stop_all() { # NAME…
  [ $# -gt 0 ] || return 0
  found=yes
  say "Stopping $(living_of "$@")…"
  stop_processes "$@"
}

# shellcheck disable=SC2046 # the names contain no blanks
stop_all $(extra_workers)
if up=$(pid_of up); then
  found=yes
  say "Stopping ./dev up (pid $up) …"
  kill -s TERM "$up"
  # It waits for running jobs, then for Redis to save its data.
  gone_within 120 up || warn "./dev up (pid $up) does not end. Stopping its processes instead."
fi
# shellcheck disable=SC2046
stop_all $(living | grep -v -e '\.tail$' -e '\.dev$' -e '^up$' -e '^redis$')
# A ./dev worker shows the last lines of its worker, then ends.
# shellcheck disable=SC2046
[ -z "$found" ] || gone_within 5 $(living | grep '\.dev$') || true
# shellcheck disable=SC2046
unfollow $(living | sed -n 's/\.[a-z]*\.tail$//p')
if pid_of redis >/dev/null || [ -e "$redis_in_docker" ]; then
  found=yes
  stop_redis
fi
if [ -n "$(living)" ]; then
  die "Still running: $(living | tr '\n' ' ')"
fi
rm -f "$run"/*.pid "$run/profile" "$up_record"
if [ -n "$found" ]; then say "Stopped."; else say "Nothing is running."; fi
