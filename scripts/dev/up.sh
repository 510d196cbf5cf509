#!/usr/bin/env bash
# ./dev up: finds or starts Redis, builds, and runs the api-gateway and a worker until Ctrl-C or ./dev down.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/processes.sh
. "$here/lib/processes.sh"
# shellcheck source=scripts/dev/lib/record.sh
. "$here/lib/record.sh"
# shellcheck source=scripts/dev/lib/settings.sh
. "$here/lib/settings.sh"
# shellcheck source=scripts/dev/lib/redis.sh
. "$here/lib/redis.sh"
# shellcheck source=scripts/dev/lib/workers.sh
. "$here/lib/workers.sh"

profile=debug
release= # yes
asked_to_stop=0 # number of requests
asked_to_restart=

main() {
  local argument
  for argument; do
    case $argument in
    --yes) assume_yes=yes ;;
    --release) profile=release release=yes ;;
    *) die "usage: ./dev up [--release] [--yes]" 2 ;;
    esac
  done
  require_cargo
  mkdir -p "$run"
  refuse_second_up
  trap 'asked_to_stop=$((asked_to_stop + 1))' INT TERM HUP PIPE
  trap 'asked_to_restart=yes' USR1
  stop_leftovers

  find_or_start_redis || finish 1
  say "Building …"
  interruptible "${build_services[@]}" ${release:+--release} || finish 1
  configuration_is_valid "$profile" || finish 1
  if ! ports_are_free; then finish 1; fi
  start_and_wait || finish 1
  announce
  show_other_workers
  supervise
}

# Only one ./dev up may run in a clone.
refuse_second_up() {
  local other
  if other=$(pid_of up); then
    die "./dev up is already running (pid $other, since $(started_at up)). See ./dev status, or stop it with ./dev down."
  fi
  record up "$$" "$root/scripts/dev/up.sh"
  echo "$profile" >"$run/profile"
  remember_environment
}

# A ./dev up that was killed leaves its processes behind. Its Redis is used again, and stopped at the end of this run.
stop_leftovers() {
  local left
  left=$(living_of api-gateway worker)
  if [ -n "$left" ]; then
    say "Stopping the processes of an earlier ./dev up: ${left}…"
    stop_processes api-gateway worker
  fi
  unfollow api-gateway worker
}

# Runs a command that a signal ends immediately.
interruptible() { # COMMAND ARG…
  [ "$asked_to_stop" -eq 0 ] || return 1
  local pid status
  "$@" &
  pid=$!
  while :; do
    wait "$pid"
    status=$?
    [ "$asked_to_stop" -eq 0 ] || break
    kill -0 "$pid" 2>/dev/null || return "$status" # otherwise it was another signal
  done
  kill "$pid" 2>/dev/null
  wait "$pid"
  return 1
}

ports_are_free() {
  local status=0
  if [ "$gateway_port" != 0 ] && listens "$gateway_host" "$gateway_port"; then
    warn "port $gateway_port is taken by $(listener "$gateway_port"). Stop that process, or use another port:" \
      "APP__SERVER__PORT=9090 ./dev up"
    status=1
  fi
  if [ "$worker_port" != 0 ] && listens "$worker_host" "$worker_port"; then
    warn "port $worker_port is taken by $(listener "$worker_port"). Stop that process, or use another port:" \
      "APP__WORKER__PORT=0 ./dev up"
    status=1
  fi
  return "$status"
}

start_and_wait() {
  local bin
  bin=$(built "$profile")
  gateway_log_from=$(size_of "$logs/api-gateway.err.log")
  worker_log_from=$(size_of "$logs/worker.err.log")
  follow api-gateway
  follow worker
  start_process api-gateway "$bin/api-gateway" "$bin/api-gateway"
  gateway_pid=$started
  start_process worker "$bin/worker" "$bin/worker"
  worker_pid=$started
  wait_until_answers api-gateway "$gateway_host" "$gateway_port" "$gateway_log_from" || return 1
  gateway_port_now=$port
  wait_until_answers worker "$worker_host" "$worker_port" "$worker_log_from" || return 1
  remember_ports "$gateway_port_now" "$port"
}

# Sets `port`. If the configuration leaves the port open (0), it is read from the log, after the first FROM bytes.
wait_until_answers() { # NAME HOST PORT FROM
  local deadline=$((SECONDS + 60))
  port=$3
  until [ "$port" != 0 ] && answers_healthz "$2" "$port"; do
    both_live || return 1
    [ "$asked_to_stop" -eq 0 ] || return 1
    if [ "$SECONDS" -ge "$deadline" ]; then
      warn "$1 does not answer at http://$(in_url "$2" "$port")/healthz. See logs/$1.err.log"
      return 1
    fi
    nap 0.05
    [ "$3" != 0 ] || port=$(logged_port "$1" "$4")
  done
}

size_of() { # FILE
  if [ -e "$1" ]; then wc -c <"$1"; else echo 0; fi
}

# Prints the port of the line "listening on http://HOST:PORT", or 0 if there is no such line yet.
logged_port() { # NAME FROM
  local found
  found=$(tail -c "+$(($2 + 1))" "$logs/$1.err.log" 2>/dev/null |
    sed -n 's/.*listening on http:\/\/[^" ]*:\([0-9][0-9]*\).*/\1/p' | tail -n 1)
  echo "${found:-0}"
}

both_live() {
  lives api-gateway "$gateway_pid" && lives worker "$worker_pid"
}

lives() { # NAME PID
  local status
  kill -0 "$2" 2>/dev/null && return 0
  wait "$2"
  status=$?
  sleep 0.3 # so that its last lines come first
  if [ "$status" -gt 128 ]; then
    warn "$1 (pid $2) was killed by signal $((status - 128)). See logs/$1.err.log"
  else
    warn "$1 (pid $2) exited with code $status. See logs/$1.err.log"
  fi
  rm -f "$run/$1.pid"
  return 1
}

announce() {
  local url
  url=http://$(in_url "$gateway_host" "$gateway_port_now")
  say "atode is up: APP_ENV=$APP_ENV, $profile build."
  echo "    console  $url/"
  describe_redis "    Redis    "
  echo "    worker   pid $worker_pid"
  echo "    logs     logs/api-gateway.{out,err}.log, logs/worker.{out,err}.log; output of jobs: logs/worker.out.log"
  echo "    try      curl $url/v1/jobs -H 'content-type: application/json' \\"
  echo "               -d '{\"kind\":\"demo:delay_print\",\"payload\":{\"message\":\"Hello\"},\"delay\":\"2s\"}'"
  echo "    Ctrl-C   stops everything"
}

# Needs the CLI, which is built only now so that a first build does not delay the first job.
show_other_workers() {
  local id host pid build state name others=
  if ! interruptible "${build_programs[@]}" --quiet ${release:+--release}; then
    [ "$asked_to_stop" -gt 0 ] || warn "the atode CLI was not built, so other live workers are not shown."
    return
  fi
  while IFS=$'\t' read -r id host pid build state; do
    if [ -z "$id" ] || [ "$pid" = "$worker_pid" ]; then continue; fi
    if name=$(extra_worker "$pid"); then
      say "Also running: $name of ./dev worker (pid $pid): build $build, $state"
    else
      others=yes
      say "Also running: a worker that was started elsewhere (pid $pid on $host): build $build, $state, id $id"
    fi
  done <<TEXT
$(live_workers "$profile")
TEXT
  [ -z "$others" ] ||
    warn "workers that were started elsewhere run jobs too. If one of them is old, stop it on its host: kill PID" \
      "(for a ./dev worker of this clone: ./dev down worker-2)"
}

extra_worker() { # PID: prints the name of the worker, if ./dev worker started it
  local name
  for name in $(extra_workers); do
    [ "$(pid_of "$name")" = "$1" ] && echo "$name" && return
  done
  return 1
}

supervise() {
  local redis_watched=
  pid_of redis >/dev/null && redis_watched=yes
  while [ "$asked_to_stop" -eq 0 ]; do
    both_live || finish 1
    if [ -n "$redis_watched" ] && ! pid_of redis >/dev/null; then
      warn "redis-server ended. The gateway and the worker wait for it. Press Ctrl-C, then run ./dev up again."
      tail -n 5 "$logs/redis.out.log" >&2
      redis_watched=
    fi
    if [ -n "$asked_to_restart" ]; then
      asked_to_restart=
      say "Restarting …"
      stop_processes api-gateway worker
      sleep 0.3 # so that their last lines are shown
      unfollow api-gateway worker
      start_and_wait || finish 1
      say "Restarted."
    fi
    nap 0.5
  done
  finish 0
}

finish() { # STATUS
  local status=$1
  [ "$asked_to_stop" -eq 0 ] || status=0
  asked_to_stop=1 # one more Ctrl-C stops at once
  if [ -n "$(living_of api-gateway worker)" ]; then
    say "Stopping api-gateway and worker (Ctrl-C again: at once) …"
    stop_processes api-gateway worker
    sleep 0.3 # so that their last lines are shown
  fi
  unfollow api-gateway worker
  if pid_of redis >/dev/null || [ -e "$redis_in_docker" ]; then
    local name
    for name in $(extra_workers); do
      warn "$name (pid $(pid_of "$name")) keeps running and waits for Redis. Stop it with ./dev down."
    done
  fi
  stop_redis
  rm -f "$run/up.pid" "$run/profile" "$up_record"
  if [ "$status" -eq 0 ]; then say "Stopped."; else say "Stopped. The reason is above."; fi
  exit "$status"
}

main "$@"
