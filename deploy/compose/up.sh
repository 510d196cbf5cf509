#!/usr/bin/env bash
# Starts deploy/compose.yml: creates the secrets that are missing, builds the images, starts everything, and waits until
# it is healthy. Later calls apply changes.
#
#   deploy/compose/up.sh [OPTION | SERVICE …]    as for `docker compose up`, for example --scale worker=4
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source=scripts/compose.sh
. "$root/scripts/compose.sh"
secrets=$root/deploy/compose/secrets

# Only the owner can enter the folder. The files are readable, because each container reads its own as its own user.
secret() { # NAME CONTENT: keeps a file that exists
  [ -e "$secrets/$1" ] || (umask 022 && printf '%s\n' "$2" >"$secrets/$1")
}

random() {
  LC_ALL=C tr -dc 'a-zA-Z0-9' </dev/urandom 2>/dev/null | head -c 40 || true # tr ends by SIGPIPE
}

find_compose || exit 1
# Redis of another project, for example that of scripts/start-redis.sh, which uses the same folder.
refuse_foreign_container redis "$root/deploy" || exit 1

mkdir -p "$secrets" "$root/redis/data/jobqueue" # Docker would create them as root
chmod 700 "$secrets"
secret redis-jobqueue "$(random)"
password=$(cat "$secrets/redis-jobqueue")
secret redis-users.acl "user default on >$password ~* &* +@all"
secret redis-insight.json "[{\"id\": \"atode-jobqueue\", \"name\": \"atode job queue\",
  \"host\": \"redis\", \"port\": 6379, \"db\": 0, \"password\": \"$password\"}]"
secret grafana-admin "$(random)"

if ! "${compose[@]}" -f "$root/deploy/compose.yml" up --build --detach --wait "$@"; then
  echo "Not everything is healthy. Look at: ${compose[*]} -f deploy/compose.yml ps; … logs SERVICE" >&2
  exit 1
fi
echo "atode is up: http://127.0.0.1:${ATODE_PORT:-8080}. Grafana: http://127.0.0.1:${GRAFANA_PORT:-3000}, user admin,"
echo "password in deploy/compose/secrets/grafana-admin."
