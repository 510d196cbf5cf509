#!/usr/bin/env bash
# ./dev restart: builds, then makes the running ./dev up restart its api-gateway and worker, and each ./dev worker restart
# its worker. If the build fails or the configuration is wrong, all processes keep running.
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
# shellcheck source=scripts/dev/lib/workers.sh
. "$here/lib/workers.sh"

[ $# -eq 0 ] || die "usage: ./dev restart" 2
up=$(pid_of up) || die "./dev up is not running, so there is nothing to restart."
before=$(pid_of worker) || die "./dev up is not ready yet. See ./dev status."
release=
profile=$(cat "$run/profile")
[ "$profile" = debug ] || release=yes

require_cargo
"${build_programs[@]}" ${release:+--release} || die "The build failed. All processes keep running as they were."
configuration_is_valid "$profile" || die "The configuration is wrong. All processes keep running as they were."

# The workers of ./dev worker, each with its present pid.
extra=$(for name in $(extra_workers); do echo "$name $(pid_of "$name")"; done)
before_gateway=$(pid_of api-gateway) || before_gateway=
kill -s USR1 "$up"
for name in $(extra_workers); do
  if dev=$(pid_of "$name.dev"); then
    kill -s USR1 "$dev"
  else
    warn "$name (pid $(pid_of "$name")) keeps its old code, because its ./dev worker is gone. Stop it: ./dev down $name"
  fi
done
say "Restarting …"

deadline=$((SECONDS + 150)) # 40 s to stop, 60 s to start, and a busy machine
is_new() { # NAME PID
  local pid
  pid=$(pid_of "$1") && [ "$pid" != "$2" ]
}
until is_new worker "$before" && is_new api-gateway "$before_gateway" && recall &&
  answers_healthz "$gateway_host" "${up_gateway_port:-$gateway_port}"; do
  pid_of up >/dev/null || die "./dev up has ended. See its terminal and logs/."
  [ "$SECONDS" -lt "$deadline" ] || die "not restarted within 150 s. See ./dev status and logs/."
  sleep 0.2
done
restarted="api-gateway (pid $(pid_of api-gateway)), worker (pid $(pid_of worker))"
while read -r name pid; do
  if [ -z "$name" ] || ! pid_of "$name.dev" >/dev/null; then continue; fi
  until is_new "$name" "$pid" || [ "$SECONDS" -ge "$deadline" ] || ! pid_of "$name.dev" >/dev/null; do sleep 0.2; done
  if is_new "$name" "$pid"; then
    restarted="$restarted, $name (pid $(pid_of "$name"))"
  else
    warn "$name did not restart. See its terminal and logs/$name.err.log"
  fi
done <<TEXT
$extra
TEXT
say "Restarted: $restarted."

# Workers that run other code, on any machine.
current_build=$("$(built "$profile")/worker" --version)
while IFS=$'\t' read -r id host pid build _; do
  if [ -z "$id" ] || [ "worker $build" = "$current_build" ]; then continue; fi
  warn "worker $id (pid $pid on $host) runs another build, $build. To stop it, run there: kill $pid"
done <<TEXT
$(live_workers "$profile")
TEXT
