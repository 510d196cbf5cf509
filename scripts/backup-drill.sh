#!/usr/bin/env bash
# Rehearses a disaster on a scratch Redis: load, a backup under load, kill -9 of everything, restore, audit, and the jobs
# run. Then it counts which jobs ran twice and which are lost. docs/backup.md explains the figures.
#
#   scripts/backup-drill.sh [JOBS]     jobs to enqueue before the backup (default: 20000)
#
#   BIN   the folder of api-gateway, worker and atode (default: target/release if they are there, otherwise target/debug)
#
# Every tenth job is due much later, so that the backup holds waiting jobs however fast the worker is. These are made due
# after the restore.
#
# It starts its own redis-servers on free ports and touches no other. It exits with 0 only if the audit finds nothing and
# no job is lost that was accepted before the backup began.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# Longest time from the start of the new worker to its first job, in seconds.
FIRST_JOB_DEADLINE=120

say() { echo "==> $*" >&2; }

die() {
  say "$*"
  exit 1
}

usage() {
  sed -n '/^#   scripts/,/^set/{ /^set/!s/^# \{0,1\}//p; }' "$0"
}

wrong_usage() {
  usage >&2
  exit 2
}

case ${1:-} in
-h | --help)
  usage
  exit
  ;;
esac
[ $# -le 1 ] || wrong_usage
jobs=${1:-20000}
case $jobs in *[!0-9]*) wrong_usage ;; esac

bin=${BIN:-}
if [ -z "$bin" ]; then
  bin=$root/target/release
  [ -x "$bin/api-gateway" ] && [ -x "$bin/worker" ] && [ -x "$bin/atode" ] || bin=$root/target/debug
fi
for program in "$bin/api-gateway" "$bin/worker" "$bin/atode"; do
  [ -x "$program" ] || die "$program is missing: build it first, or set BIN"
done

work=$(mktemp -d)
pids=''
clean_up() {
  local status=$?
  trap - EXIT
  # shellcheck disable=SC2086 # several pids
  if [ -n "$pids" ]; then kill -9 $pids 2>/dev/null || true; fi
  wait 2>/dev/null || true
  if [ "$status" -eq 0 ]; then rm -rf "$work"; else say "everything that was written is in $work"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Settings of this machine name a real Redis.
unset REDISCLI_AUTH REDIS_PASSWORD_FILE
for name in $(env | sed -n 's/^\(APP__[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export APP_ENV=test APP_CONFIG_DIR=$root/config

now_ms() {
  # macOS has no nanoseconds in date.
  perl -MTime::HiRes=time -e 'printf "%d\n", time * 1000'
}

seconds_since() { # MS
  echo $(($(now_ms) - $1)) | awk '{ printf "%.1f s", $1 / 1000 }'
}

start_redis() { # DIR: sets redis_pid, redis_port
  local attempt
  for attempt in 1 2 3 4 5; do
    redis_port=$((20000 + RANDOM % 10000))
    redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$1" --appendonly yes --save '' \
      --maxmemory-policy noeviction >"$work/redis-$redis_port.log" 2>&1 &
    redis_pid=$!
    pids="$pids $redis_pid"
    while kill -0 "$redis_pid" 2>/dev/null; do
      if [ "$(redis-cli -p "$redis_port" ping 2>&1)" = PONG ]; then
        export APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=127.0.0.1:$redis_port
        return
      fi
      sleep 0.02
    done
    say "attempt $attempt: port $redis_port is taken"
  done
  die "redis-server does not start: see $work"
}

start() { # NAME PROGRAM ARG…: sets pid and url
  local name=$1
  shift
  : >"$work/$name.err"
  "$@" --port 0 >"$work/$name.out" 2>"$work/$name.err" &
  pid=$!
  pids="$pids $pid"
  until url=$(sed -n 's/.*listening on \(http:[^ "]*[0-9]\)\([^0-9].*\)\{0,1\}$/\1/p' "$work/$name.err" | head -n 1) && [ -n "$url" ]; do
    kill -0 "$pid" 2>/dev/null || die "$name has exited: $(tail -n 3 "$work/$name.err")"
    sleep 0.05
  done
}

enqueue() { # FROM COUNT: jobs that print their number
  awk -v from="$1" -v count="$2" 'BEGIN {
    printf "{\"jobs\":["
    for (i = from; i < from + count; i++)
      printf "%s{\"kind\":\"demo:delay_print\",\"delay\":\"%s\",\"payload\":{\"message\":\"%d\"}}",
        (i > from ? "," : ""), (i % 10 ? "0s" : "10d"), i
    printf "]}"
  }' | curl -fsS -H 'content-type: application/json' --data-binary @- "$gateway/v1/jobs/batch" >"$work/reply" 2>>"$work/curl.err" &&
    grep -q "\"created\":$2[,}]" "$work/reply"
}

unfinished() {
  curl -fsS "$gateway/v1/queues/default" |
    tr ',{}' '\n' | awk -F: '/"(scheduled|ready|active)":[0-9]+$/ { n += $2 } END { print n + 0 }'
}

make_all_due() {
  curl -fsS -H 'content-type: application/json' -d '{"action":"run_now","filter":{"all":true}}' \
    "$gateway/v1/bulk" >/dev/null 2>>"$work/curl.err"
}

ran() { # NAME: the numbers that a worker has printed
  sed -n 's/^\[[^]]*\] \([0-9][0-9]*\)$/\1/p' "$work/$1.out" | sort -u
}

count() { wc -l | tr -d ' '; }

# --- Before the disaster --------------------------------------------------------------------------------------------

mkdir "$work/a" "$work/backups"
start_redis "$work/a"
redis_a=$redis_pid
start gateway-a "$bin/api-gateway"
gateway=$url gateway_a=$pid
curl -fsS -X POST "$gateway/v1/queues/default/pause" >/dev/null
say "enqueueing $jobs jobs"
: >"$work/accepted"
next=0
while [ "$next" -lt "$jobs" ]; do
  size=$((jobs - next < 1000 ? jobs - next : 1000))
  enqueue "$next" "$size" || die "a batch was not stored: $(cat "$work/reply" "$work/curl.err")"
  echo "$next $size" >>"$work/accepted"
  next=$((next + size))
done

curl -fsS -X POST "$gateway/v1/queues/default/resume" >/dev/null
(
  # The load: goes on until the gateway is killed.
  while enqueue "$next" 50; do
    echo "$next 50" >>"$work/accepted"
    next=$((next + 50))
    sleep 0.02
  done
) &
load=$!
# One job at a time, so that most jobs still wait when everything is killed.
APP__WORKER__CONCURRENCY=1 start worker-a "$bin/worker"
worker_a=$pid
sleep 2

# Batches up to here were accepted before the backup began.
before=$(count <"$work/accepted")
started=$(now_ms)
backup=$("$root/scripts/backup.sh" --rewrite "$work/backups" -p "$redis_port")
backup_time=$(seconds_since "$started")
backup_size=$(du -sk "$backup" | awk '{ printf "%.0f MiB", $1 / 1024 }')
sleep 2

say "kill -9: worker, Redis, gateway"
# Bash would report each of them.
{
  kill -9 "$worker_a" "$redis_a" "$gateway_a"
  wait "$worker_a" "$redis_a" "$gateway_a" "$load" || true
} 2>/dev/null

# --- After it -------------------------------------------------------------------------------------------------------

recovery=$(now_ms)
"$root/scripts/restore.sh" "$backup" "$work/b"
restore_time=$(seconds_since "$recovery")
started=$(now_ms)
start_redis "$work/b"
load_time=$(seconds_since "$started")
started=$(now_ms)
audit=$("$bin/atode" audit) || die "the audit found something: $audit"
audit_time=$(seconds_since "$started")
start gateway-b "$bin/api-gateway"
gateway=$url
start worker-b "$bin/worker"
worker_b=$pid
make_all_due || die "the jobs that are due later could not be made due: $(tail -n 3 "$work/curl.err")"
deadline=$((SECONDS + FIRST_JOB_DEADLINE))
until [ -n "$(head -c 1 "$work/worker-b.out")" ]; do
  kill -0 "$worker_b" 2>/dev/null || die "worker-b has exited: $(tail -n 3 "$work/worker-b.err")"
  [ "$SECONDS" -lt "$deadline" ] || die "no job has run for $FIRST_JOB_DEADLINE s after the restore, and" \
    "$(unfinished) wait. If none waits, the backup held no job to run: repeat the drill with more than $jobs jobs."
  sleep 0.02
done
recovery_time=$(seconds_since "$recovery")
say "running the jobs"
deadline=$((SECONDS + 1800))
until [ "$(unfinished)" = 0 ]; do
  [ "$SECONDS" -lt "$deadline" ] || die "$(unfinished) jobs have not finished"
  sleep 0.5
done

# --- The ledger -----------------------------------------------------------------------------------------------------

numbers() { awk '{ for (i = 0; i < $2; i++) print $1 + i }' | sort -u; }
export LC_ALL=C
head -n "$before" "$work/accepted" | numbers >"$work/accepted-before"
numbers <"$work/accepted" >"$work/accepted-all"
ran worker-a >"$work/ran-a"
ran worker-b >"$work/ran-b"
sort -u "$work/ran-a" "$work/ran-b" >"$work/ran"
lost_before=$(comm -23 "$work/accepted-before" "$work/ran" | count)
lost=$(comm -23 "$work/accepted-all" "$work/ran" | count)
repeated=$(comm -12 "$work/ran-a" "$work/ran-b" | count)

cat <<TEXT
$audit

| | |
| --- | ---: |
| jobs accepted before the backup began | $(count <"$work/accepted-before") |
| jobs accepted after that, before everything was killed | $(comm -13 "$work/accepted-before" "$work/accepted-all" | count) |
| jobs that ran before everything was killed | $(count <"$work/ran-a") |
| jobs that ran after the restore | $(count <"$work/ran-b") |
| **ran twice** (they finished after the backup) | $repeated |
| **lost**, of those accepted before the backup began | $lost_before |
| **lost**, of those accepted later | $lost |
| backup under load | $backup_time, $backup_size |
| copy back and check the files | $restore_time |
| Redis loads the data | $load_time |
| audit | $audit_time |
| from the start of the restore to the first job that runs, with the audit | $recovery_time |
TEXT
[ "$lost_before" -eq 0 ]
