#!/usr/bin/env bash
# ./dev worker: runs one more worker, on a free port, until Ctrl-C or ./dev down.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"
# shellcheck source=scripts/dev/lib/processes.sh
. "$here/lib/processes.sh"
# shellcheck source=scripts/dev/lib/record.sh
. "$here/lib/record.sh"
recall_what_is_unset

profile=$(cat "$run/profile" 2>/dev/null || echo debug) # the profile of ./dev up
if [ "${1:-}" = --release ]; then
  profile=release
  shift
fi
release=
[ "$profile" = debug ] || release=yes
asked_to_stop=0
asked_to_restart=

require_cargo
mkdir -p "$run"
say "Building …"
"${build_programs[@]}" ${release:+--release} || exit 1

configuration_is_valid "$profile" || exit 1

number=2 # the first is the worker of ./dev up
while pid_of "worker-$number" >/dev/null || pid_of "worker-$number.dev" >/dev/null; do number=$((number + 1)); done
name=worker-$number
record "$name.dev" "$$" "$root/scripts/dev/worker.sh"
trap 'asked_to_stop=$((asked_to_stop + 1))' INT TERM HUP PIPE
trap 'asked_to_restart=yes' USR1
unfollow "$name" # an earlier run may have been killed
bin=$(built "$profile")/worker

start() { # ARG…
  follow "$name"
  start_process "$name" "$bin" "$bin" --port 0 "$@"
  pid=$started
}

# Called for ./dev restart. If the build fails or the configuration is wrong, the worker keeps running.
restart() { # ARG…
  if ! "${build_programs[@]}" ${release:+--release} || ! configuration_is_valid "$profile"; then
    warn "$name (pid $pid) keeps its old code, for the reason above."
    return
  fi
  say "Restarting $name …"
  stop_processes "$name"
  sleep 0.3 # so that its last lines are shown
  unfollow "$name"
  [ "$asked_to_stop" -gt 0 ] || start "$@"
}

start "$@"
say "$name is running (pid $pid). Its output is also in logs/$name.{out,err}.log. Ctrl-C stops it."
while [ "$asked_to_stop" -eq 0 ] && kill -0 "$pid" 2>/dev/null; do
  if [ -n "$asked_to_restart" ]; then
    asked_to_restart=
    restart "$@"
  fi
  nap 0.5
done

status=0
if [ "$asked_to_stop" -gt 0 ]; then
  asked_to_stop=1
  say "Stopping $name (Ctrl-C again: at once) …"
  stop_processes "$name"
else
  wait "$pid"
  status=$?
  say "$name exited with code $status. See logs/$name.err.log"
fi
sleep 0.3 # so that its last lines are shown
unfollow "$name"
rm -f "$run/$name.pid" "$run/$name.dev.pid"
exit "$status"
