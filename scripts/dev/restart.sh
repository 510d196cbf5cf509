#!/usr/bin/env bash
# ./dev restart: rebuilds, then has the running ./dev up restart its api-gateway and worker, and each ./dev worker its
# own. Where the build fails or the configuration is wrong, all go on as they are.
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
up=$(pid_of up) || die "./dev up does not run: nothing to restart."
before=$(pid_of worker) || die "./dev up is not ready yet: see ./dev status."
release=
profile=$(cat "$run/profile")
[ "$profile" = debug ] || release=yes

require_cargo
cargo build --workspace ${release:+--release} || die "The build failed; the running processes go on as they were."
configuration_is_valid "$profile" || die "The configuration is wrong; the running processes go on as they were."

# Names of extra workers, each with its pid before.
extra=$(for name in $(extra_workers); do echo "$name $(pid_of "$name")"; done)
before_gateway=$(pid_of api-gateway) || before_gateway=
kill -s USR1 "$up"
for name in $(extra_workers); do
  if dev=$(pid_of "$name.dev"); then
    kill -s USR1 "$dev"
  else
    warn "$name (pid $(pid_of "$name")) goes on with its old code, for its ./dev worker is gone: ./dev down $name"
  fi
done
say "Restarting …"

deadline=$((SECONDS + 150)) # 40 s to stop, 60 s to start, each of two at a time, and a busy machine
is_new() { # NAME PID
  local pid
  pid=$(pid_of "$1") && [ "$pid" != "$2" ]
}
until is_new worker "$before" && is_new api-gateway "$before_gateway" && recall &&
  answers_healthz "$gateway_host" "${up_gateway_port:-$gateway_port}"; do
  pid_of up >/dev/null || die "./dev up ended meanwhile: see its terminal, and logs/."
  [ "$SECONDS" -lt "$deadline" ] || die "not restarted within 150 s: see ./dev status, and logs/."
  sleep 0.2
done
restarted="api-gateway (pid $(pid_of api-gateway)), worker (pid $(pid_of worker))"
while read -r name pid; do
  if [ -z "$name" ] || ! pid_of "$name.dev" >/dev/null; then continue; fi
  until is_new "$name" "$pid" || [ "$SECONDS" -ge "$deadline" ] || ! pid_of "$name.dev" >/dev/null; do sleep 0.2; done
  if is_new "$name" "$pid"; then
    restarted="$restarted, $name (pid $(pid_of "$name"))"
  else
    warn "$name did not restart: see its terminal, and logs/$name.err.log"
  fi
done <<TEXT
$extra
TEXT
say "Restarted: $restarted."

# Whatever still runs other code, wherever it was started.
ours=$("$(built "$profile")/worker" --version)
while IFS=$'\t' read -r id host pid build _; do
  if [ -z "$id" ] || [ "worker $build" = "$ours" ]; then continue; fi
  warn "worker $id (pid $pid on $host) runs another build, $build: if it should not, stop it there: kill $pid"
done <<TEXT
$(live_workers "$profile")
TEXT
