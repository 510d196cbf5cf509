#!/usr/bin/env bash
# Makes a data folder for Redis from a backup of scripts/backup.sh, and checks it. docs/backup.md explains it.
#
#   scripts/restore.sh [--audit] BACKUP DIR
#
#   --audit   start a temporary redis-server on this data, on 127.0.0.1 and with a random password, run `atode audit`,
#             and stop the server. Its exit code is that of the audit.
#
# DIR must be empty or missing, so that no data is overwritten. Nothing else is started, and no other Redis is touched.
#
#   ATODE, REDIS_SERVER  the programs to use (default: atode and redis-server from the path, or target/debug/atode)
#   APP__CACHE_SERVER__REDIS__JOBQUEUE__KEY_PREFIX, …__DB   for the audit, if they are not the defaults
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { echo "restore: $*" >&2; }

die() {
  say "$*"
  exit 2
}

usage() {
  sed -n '/^#   scripts/,/^set/{ /^set/!s/^# \{0,1\}//p; }' "$0"
}

wrong_usage() {
  usage >&2
  exit 2
}

audit=''
case ${1:-} in
-h | --help)
  usage
  exit
  ;;
--audit)
  audit=yes
  shift
  ;;
esac
[ $# -eq 2 ] || wrong_usage
case $1 in -*) wrong_usage ;; esac
backup=$1 dir=$2
redis_server=${REDIS_SERVER:-redis-server}

setting() { # NAME
  sed -n "s/^$1=//p" "$backup/backup.txt"
}

check_sums() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum --quiet --check SHA256SUMS
  else
    shasum -a 256 --quiet --check SHA256SUMS
  fi
}

[ -r "$backup/backup.txt" ] || die "$backup is not a complete backup: it has no readable backup.txt"
(cd "$backup" && check_sums) >&2 || die "$backup is damaged: its files do not have the sums in SHA256SUMS"
if [ -e "$dir" ]; then
  [ -d "$dir" ] || die "$dir is not a folder"
  [ -z "$(ls -A "$dir")" ] || die "$dir is not empty. Choose an empty folder, or move its files away."
fi
command -v redis-check-aof >/dev/null 2>&1 || die "redis-check-aof is missing: install redis-tools"

appenddirname=$(setting appenddirname)
appendfilename=$(setting appendfilename)
umask 077
mkdir -p "$dir"
dir=$(cd "$dir" && pwd -P)
cp -R "$backup/$appenddirname" "$dir/"
if ! out=$(redis-check-aof "$dir/$appenddirname/$appendfilename.manifest" 2>&1); then
  die "redis-check-aof refuses the files: $out"
fi
say "$dir holds the data of $(setting created_at), written by Redis $(setting redis_version); redis-check-aof finds no error"

# --- The audit ------------------------------------------------------------------------------------------------------

server='' scratch=''
clean_up() {
  local status=$?
  trap - EXIT
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

find_atode() {
  local candidate
  for candidate in "${ATODE:-}" "$(command -v atode || true)" "$root/target/debug/atode" "$root/target/release/atode"; do
    [ -n "$candidate" ] && [ -x "$candidate" ] && echo "$candidate" && return
  done
  die "there is no atode on the path, so the data cannot be audited. Set ATODE."
}

start_server() {
  local deadline
  port=$((20000 + RANDOM % 10000))
  # On stdin, because everybody can see the arguments of a process.
  "$redis_server" - >"$scratch/log" 2>&1 <<TEXT &
bind 127.0.0.1
port $port
requirepass $password
dir "$dir"
appendonly yes
appenddirname "$appenddirname"
appendfilename "$appendfilename"
auto-aof-rewrite-percentage 0
save ""
maxmemory-policy noeviction
TEXT
  server=$!
  # Redis loads some 100 MB per second.
  deadline=$((SECONDS + 1800))
  while kill -0 "$server" 2>/dev/null; do
    case $(REDISCLI_AUTH=$password redis-cli -p "$port" ping 2>&1) in
    PONG) return ;;
    esac
    [ "$SECONDS" -lt "$deadline" ] || die "Redis is still loading after 30 minutes"
    sleep 0.1
  done
  server=''
  return 1
}

if [ -n "$audit" ]; then
  atode=$(find_atode)
  scratch=$(mktemp -d)
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  say "starting a temporary redis-server on 127.0.0.1"
  # Another program may have the port: try a few.
  start_server || start_server || start_server || die "redis-server does not start: $(tail -n 5 "$scratch/log")"
  # The settings of this machine name the real Redis.
  for name in $(env | sed -n 's/^\(APP__CACHE_SERVER__REDIS__[A-Z_]*\)=.*/\1/p'); do
    case $name in *__JOBQUEUE__KEY_PREFIX | *__JOBQUEUE__DB) ;; *) unset "$name" ;; esac
  done
  mkdir -p "$scratch/config/test"
  : >"$scratch/config/test/config.yaml"
  : >"$scratch/config/test/cacheserver.yaml"
  printf %s "$password" >"$scratch/password"
  status=0
  APP_ENV=test APP_CONFIG_DIR=$scratch/config \
    APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=127.0.0.1:$port \
    APP__CACHE_SERVER__REDIS__JOBQUEUE__PASSWORD_FILE=$scratch/password \
    "$atode" audit || status=$?
  [ "$status" -eq 0 ] || say "the audit found something (docs/audit.md); $dir stays as it is"
  exit "$status"
fi

cat >&2 <<TEXT
restore: next: give the folder to the user of Redis, let redis.conf say
restore:   dir $dir
restore:   appendonly yes
restore:   appenddirname $appenddirname
restore:   appendfilename $appendfilename
restore: start Redis, run \`atode audit\`, and then start the workers and gateways.
TEXT
