#!/usr/bin/env bash
# ./dev down: stops all that ./dev started, and what earlier runs that were killed left behind.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/settings.sh
. "$here/lib/settings.sh"
# shellcheck source=scripts/dev/lib/processes.sh
. "$here/lib/processes.sh"
# shellcheck source=scripts/dev/lib/redis.sh
. "$here/lib/redis.sh"

[ $# -eq 0 ] || die "usage: ./dev down" 2

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
stop_all $(living | grep -v -e '\.tail$' -e '^up$' -e '^redis$')
[ -z "$found" ] || sleep 1 # a ./dev worker shows the last lines of its worker, then ends by itself
# shellcheck disable=SC2046
unfollow $(living | sed -n 's/\.[a-z]*\.tail$//p')
if pid_of redis >/dev/null || [ -e "$redis_in_docker" ]; then
  found=yes
  stop_redis
fi
if [ -n "$(living)" ]; then
  die "Still running: $(living | tr '\n' ' ')"
fi
rm -f "$run"/*.pid "$run/profile"
if [ -n "$found" ]; then say "Stopped."; else say "Nothing runs."; fi
