#!/usr/bin/env bash
# ./dev down: stops all that ./dev started, and what earlier runs that were killed left behind.
# ./dev down worker-2: stops one worker of ./dev worker, and nothing else.
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
  pid_of "$1" >/dev/null || die "$1 does not run. Workers of ./dev worker that do: $(extra_workers | tr '\n' ' ')"
  say "Stopping $(living_of "$1")…"
  stop_processes "$1"
  gone_within 5 "$1.dev" || true # its ./dev worker shows the last lines, then ends by itself
  unfollow "$1"
  if pid_of "$1" >/dev/null; then exit 1; fi
  say "Stopped."
  exit
  ;;
*) die "usage: ./dev down [worker-N]   (N: of a ./dev worker; without it, everything stops, Redis too)" 2 ;;
esac

found=

# Redis is stopped last, by ./dev up or here: workers settle their jobs in it.
stop_all() { # NAME…
  [ $# -gt 0 ] || return 0
  found=yes
  say "Stopping $(living_of "$@")…"
  stop_processes "$@"
}

# shellcheck disable=SC2046 # names of our own making
stop_all $(extra_workers)
if up=$(pid_of up); then
  found=yes
  say "Stopping ./dev up (pid $up) …"
  kill -s TERM "$up"
  # It waits for running jobs, then for Redis to write.
  gone_within 120 up || warn "./dev up (pid $up) does not end; its processes are stopped instead."
fi
# shellcheck disable=SC2046
stop_all $(living | grep -v -e '\.tail$' -e '\.dev$' -e '^up$' -e '^redis$')
# A ./dev worker shows the last lines of its worker, then ends by itself.
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
if [ -n "$found" ]; then say "Stopped."; else say "Nothing runs."; fi
