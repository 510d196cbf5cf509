# shellcheck shell=bash
# Processes of ./dev. They run in the background, are recorded in logs/run/<name>.pid, and are stopped by pid.
#
# A process writes to its log files, and the terminal follows these files. So a process survives a closed terminal, never
# waits for a slow one, and its lines appear as soon as they are written.

# record NAME PID WORD…: the command line of the process contains the WORDs, so that another process that gets the same
# pid later is not mistaken for it.
record() {
  local name=$1 pid=$2
  shift 2
  { echo "$pid" && date '+%Y-%m-%d %H:%M:%S' && printf '%s\n' "$@"; } >"$run/$name.pid"
}

command_of() { # PID
  if [ -r "/proc/$1/cmdline" ]; then
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline"
  else
    ps -o command= -p "$1" 2>/dev/null
  fi
}

# Prints the pid of the recorded process NAME. Fails if the process is not running.
pid_of() { # NAME
  local pid command word
  [ -r "$run/$1.pid" ] || return 1
  {
    read -r pid && read -r _ || return 1
    command=$(command_of "$pid")
    while IFS= read -r word; do
      case $command in *"$word"*) ;; *) return 1 ;; esac
    done
    [ -n "$command" ] && echo "$pid"
  } <"$run/$1.pid"
}

started_at() { # NAME
  sed -n 2p "$run/$1.pid"
}

# Prints the names of the recorded processes that are running, in order of start.
living() {
  local file name
  # shellcheck disable=SC2012 # the names contain no blanks
  ls -tr "$run" 2>/dev/null | while read -r file; do
    name=${file%.pid}
    [ "$name" != "$file" ] && pid_of "$name" >/dev/null && echo "$name"
  done
  return 0
}

# Prints the names of the workers that ./dev worker started.
extra_workers() {
  living | grep '^worker-[0-9]*$'
}

# background COMMAND ARG…: runs a command in its own process group, so that Ctrl-C reaches only ./dev, which then stops
# the processes in order.
background() {
  set -m
  "$@" </dev/null &
  set +m
}

# start_process NAME WORD COMMAND ARG…: starts a process and sets `started` to its pid.
start_process() {
  local name=$1 word=$2
  shift 2
  background "$@" >>"$logs/$name.out.log" 2>>"$logs/$name.err.log"
  started=$!
  record "$name" "$started" "$word"
  # At first it is a copy of this shell.
  until pid_of "$name" >/dev/null || ! kill -0 "$started" 2>/dev/null; do nap 0.01; done
}

# Shows the new output of NAME on the terminal.
follow() { # NAME
  local stream file from
  for stream in out err; do
    file=$logs/$1.$stream.log
    touch "$file"
    from=$(($(wc -c <"$file") + 1))
    if [ "$stream" = out ]; then
      background tail -c "+$from" -f "$file" > >(label "$1")
    else
      background tail -c "+$from" -f "$file" > >(label "$1" >&2)
    fi
    record "$1.$stream.tail" "$!" "$file"
  done
}

label() { # NAME: prefixes each line of stdin with NAME
  trap '' INT TERM HUP
  local line
  while IFS= read -r line; do printf '%-11s | %s\n' "$1" "$line"; done
}

unfollow() { # NAME…
  local name stream pid
  for name; do
    for stream in out err; do
      pid=$(pid_of "$name.$stream.tail") && kill "$pid" 2>/dev/null
      rm -f "$run/$name.$stream.tail.pid"
    done
  done
}

# Stops processes together. SIGTERM makes them drain. After 30 s, or another Ctrl-C, a second SIGTERM makes them exit at
# once. SIGKILL follows 5 s later. Redis gets 60 s to save its data.
stop_processes() {
  local timeout=30
  [ "$1" = redis ] && timeout=60
  signal TERM "$@"
  gone_within "$timeout" "$@" && return
  warn "still running: $(living_of "$@"). Stopping at once."
  signal TERM "$@"
  [ "${asked_to_stop:-0}" -le 1 ] || asked_to_stop=1 # one more Ctrl-C continues
  gone_within 5 "$@" && return
  signal KILL "$@"
  gone_within 5 "$@" || warn "could not stop: $(living_of "$@")"
}

signal() { # SIGNAL NAME…
  local name pid signal=$1
  shift
  for name; do
    pid=$(pid_of "$name") && kill -s "$signal" "$pid" 2>/dev/null
  done
}

living_of() { # NAME…
  local name pid
  for name; do
    pid=$(pid_of "$name") && printf '%s (pid %s) ' "$name" "$pid"
  done
}

gone_within() { # SECONDS NAME…
  local name deadline=$((SECONDS + $1))
  shift
  while [ -n "$(living_of "$@")" ]; do
    if [ "$SECONDS" -ge "$deadline" ] || [ "${asked_to_stop:-0}" -gt 1 ]; then return 1; fi
    nap 0.2
  done
  for name; do rm -f "$run/$name.pid"; done
}

# Sleeps, but a signal's trap runs immediately.
nap() { # SECONDS
  sleep "$1" &
  wait "$!"
}
