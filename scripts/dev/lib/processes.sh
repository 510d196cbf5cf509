# shellcheck shell=bash
# Processes of ./dev: started in the background, recorded in logs/run/<name>.pid, ended by pid.
#
# A process writes straight to its log files, and the terminal follows the files: it so survives a closed
# terminal, is never held up by a slow one, and its lines appear when they are written.

# record NAME PID WORD…: WORDs are what the command line of that process contains, so that another
# process, given the same pid later, is never taken for it.
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

# The pid of the recorded process NAME; fails if it does not live.
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

# Names of recorded processes that live, in order of start.
living() {
  local file name
  # shellcheck disable=SC2012 # names of our own making
  ls -tr "$run" 2>/dev/null | while read -r file; do
    name=${file%.pid}
    [ "$name" != "$file" ] && pid_of "$name" >/dev/null && echo "$name"
  done
  return 0
}

# Those of them that ./dev worker started.
extra_workers() {
  living | grep '^worker-[0-9]*$'
}

# background COMMAND ARG…: in a process group of its own, so that Ctrl-C on the terminal reaches only
# ./dev, which then ends things in order.
background() {
  set -m
  "$@" </dev/null &
  set +m
}

# start_process NAME WORD COMMAND ARG…: sets `started` to its pid.
start_process() {
  local name=$1 word=$2
  shift 2
  background "$@" >>"$logs/$name.out.log" 2>>"$logs/$name.err.log"
  started=$!
  record "$name" "$started" "$word"
  # For a moment it is a copy of this shell.
  until pid_of "$name" >/dev/null || ! kill -0 "$started" 2>/dev/null; do nap 0.05; done
}

# Shows on the terminal what NAME prints from now on.
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

label() { # NAME: puts it before each line of stdin
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

# Ends NAMEs together: SIGTERM, on which they drain; a second one, on which they exit at once, after
# 30 s or another Ctrl-C; SIGKILL after 5 s more. The server of Redis gets 60 s to write what it has.
stop_processes() {
  local patience=30
  [ "$1" = redis ] && patience=60
  signal TERM "$@"
  gone_within "$patience" "$@" && return
  warn "still running: $(living_of "$@")… ending at once."
  signal TERM "$@"
  [ "${asked_to_stop:-0}" -le 1 ] || asked_to_stop=1 # another Ctrl-C counts again
  gone_within 5 "$@" && return
  signal KILL "$@"
  gone_within 5 "$@" || warn "could not end: $(living_of "$@")"
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

# sleep, but a signal's trap runs at once.
nap() { # SECONDS
  sleep "$1" &
  wait "$!"
}
