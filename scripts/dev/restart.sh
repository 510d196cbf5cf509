#!/usr/bin/env bash
# ./dev restart: rebuilds, then has the running ./dev up restart its api-gateway and worker. Where the build
# fails, they go on as they are.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/settings.sh
. "$here/lib/settings.sh"
# shellcheck source=scripts/dev/lib/processes.sh
. "$here/lib/processes.sh"

[ $# -eq 0 ] || die "usage: ./dev restart" 2
up=$(pid_of up) || die "./dev up does not run: nothing to restart."
before=$(pid_of worker) || die "./dev up is not ready yet: see ./dev status."
release=
[ "$(cat "$run/profile")" = debug ] || release=yes

require_cargo
cargo build --workspace ${release:+--release} || die "The build failed; the running processes go on as they were."
kill -s USR1 "$up"
say "Restarting …"
while pid_of up >/dev/null; do
  if after=$(pid_of worker) && [ "$after" != "$before" ] && answers_healthz "$gateway_host" "$gateway_port"; then
    say "Restarted: api-gateway (pid $(pid_of api-gateway)), worker (pid $after)."
    exit 0
  fi
  sleep 0.2
done
die "./dev up ended meanwhile: see its terminal, and logs/."
