#!/usr/bin/env bash
# Checks deploy/systemd without starting anything: the units are valid, hardened, and give processes time to drain, and
# the Redis user has the permissions of docs/redis-acl.md.
#
#   scripts/check-systemd.sh
#
# CI installs systemd-analyze if it is missing. Elsewhere the check is left out then.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
units=$root/deploy/systemd

# Highest exposure that `systemd-analyze security` may find, in tenths: 3.0.
THRESHOLD=30

if ! command -v systemd-analyze >/dev/null 2>&1; then
  if [ "${CI:-}" != true ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "systemd-analyze is not installed, so deploy/systemd is not checked."
    exit 0
  fi
  # Debian's package starts nothing in a container or on a machine with another init.
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd >/dev/null
fi

failed=''
fail() {
  echo "check-systemd: $*" >&2
  failed=yes
}

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# `verify` looks for the programs.
for program in api-gateway worker atode-backup; do
  printf '#!/bin/sh\n' >"$stage/$program"
  chmod +x "$stage/$program"
done
# A template is checked as an instance of it.
for unit in "$units"/*.{service,target,timer}; do
  name=$(basename "$unit")
  sed "s|/usr/local/bin/|$stage/|" "$unit" >"$stage/${name/@./@8082.}"
done
# Debian's unit, as far as the drop-in needs it.
printf '[Service]\nType=notify\nUser=root\nExecStart=/bin/true\n' >"$stage/redis-server.service"
mkdir "$stage/redis-server.service.d"
sed 's|/usr/bin/redis-server|/bin/true|' "$units/redis/redis-server.service.d/atode.conf" \
  >"$stage/redis-server.service.d/atode.conf"

# Without --man, manual pages need not be installed. Anything that it says is an error, also for units of this machine
# that ours name, unless they are not ours.
out=$(SYSTEMD_UNIT_PATH="$stage:" systemd-analyze verify --man=no "$stage"/*.{service,target,timer} 2>&1 || true)
out=$(grep -E "$stage|atode|api-gateway|worker@|redis-server" <<<"$out" || true)
[ -z "$out" ] || fail "systemd-analyze verify: $out"

for unit in "$stage"/api-gateway.service "$stage"/worker@8082.service "$stage"/atode-backup.service; do
  if out=$(SYSTEMD_UNIT_PATH="$stage:" systemd-analyze security --no-pager --offline=true --threshold=$THRESHOLD "$unit" 2>&1); then
    grep 'Overall exposure' <<<"$out"
  else
    fail "$(basename "$unit") is exposed more than allowed:"$'\n'"$(grep -E '✗|Overall' <<<"$out" || echo "$out")"
  fi
done

# The longest time that a process may take to drain, from the configuration of production.
seconds() { # KEY, in the section that is given on stdin
  sed -n "s/^  $1: *\([0-9]*\)s.*/\1/p" | head -n 1
}
section() { # NAME: production, then the defaults
  for environment in production develop; do
    sed -n "/^$1:/,/^[a-z]/p" "$root/config/$environment/config.yaml"
  done
}
stop_of() { sed -n 's/^TimeoutStopSec=\([0-9]*\)s$/\1/p' "$units/$1"; }
gateway=$(($(section server | seconds shutdown_delay) + $(section server | seconds shutdown_timeout)))
worker=$(section worker | seconds shutdown_timeout)
[ "$(stop_of api-gateway.service)" -ge $((gateway + 10)) ] ||
  fail "api-gateway.service: TimeoutStopSec must exceed shutdown_delay + shutdown_timeout ($gateway s) by 10 s"
[ "$(stop_of worker@.service)" -ge $((worker + 10)) ] ||
  fail "worker@.service: TimeoutStopSec must exceed shutdown_timeout ($worker s) by 10 s"

rules() { tr ' ' '\n' | grep '^+' | sed 's|\\||g' | sort; }
documented=$(sed -n '/^ACL SETUSER atode/,/^```/p' "$root/docs/redis-acl.md" | rules)
shipped=$(grep '^user atode ' "$units/redis/atode.acl.example" | rules)
[ "$documented" = "$shipped" ] ||
  fail "redis/atode.acl.example and docs/redis-acl.md differ: $(diff <(echo "$documented") <(echo "$shipped") || true)"

[ -z "$failed" ] || exit 1
echo "deploy/systemd is in order."
