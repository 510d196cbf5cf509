#!/usr/bin/env bash
# ./dev status: shows the running processes. The exit code is 1 unless ./dev up, its api-gateway and its worker run.
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

[ $# -eq 0 ] || die "usage: ./dev status" 2

show() { # NAME [NOTE]
  local pid
  if pid=$(pid_of "$1"); then
    printf '%-11s  pid %-7s  since %s  %s\n' "$1" "$pid" "$(started_at "$1")" "${2:-}"
  else
    printf '%-11s  is not running\n' "$1"
    status=1
  fi
}

health() { # HOST PORT
  local url
  url=http://$(in_url "$1" "$2")/
  if answers_healthz "$1" "$2"; then echo "$url answers"; else echo "$url does not answer"; fi
}

status=0
show up
show api-gateway "$(health "$gateway_host" "$gateway_port")"
show worker
for name in $(extra_workers); do show "$name"; done
describe_redis "$(printf '%-11s  ' redis)"

cli=$(built "$(cat "$run/profile" 2>/dev/null || echo debug)")/atode
if [ -x "$cli" ] && [ "$(redis_state)" != away ]; then
  echo
  echo "All live workers of these queues, on any machine (atode workers):"
  "$cli" --direct workers
fi
exit "$status"
