# shellcheck shell=bash
# The environment and the ports of the running ./dev up. status, restart, worker and down use them instead of their own
# environment. Needs processes.sh.

up_record=$run/up.record

# Writes the settings to a file, without passwords.
remember_environment() {
  local name
  for name in ${!APP_@}; do
    case $name in *PASSWORD) ;; *) printf '%s=%q\n' "$name" "${!name}" ;; esac
  done >"$up_record"
}

# Records the ports of the processes, which the configuration may leave open (port 0).
remember_ports() { # GATEWAY_PORT WORKER_PORT
  printf 'up_gateway_port=%q\nup_worker_port=%q\n' "$1" "$2" >>"$up_record"
}

# Uses the settings of the running ./dev up, if there is one.
recall() {
  local name
  if ! pid_of up >/dev/null || [ ! -r "$up_record" ]; then return 0; fi
  for name in ${!APP_@}; do
    case $name in *PASSWORD) ;; *) unset "$name" ;; esac
  done
  set -a
  # shellcheck disable=SC1090 # written above
  . "$up_record"
  set +a
}

# Like recall, but keeps the settings of the caller.
recall_what_is_unset() {
  local line
  if ! pid_of up >/dev/null || [ ! -r "$up_record" ]; then return 0; fi
  [ -n "$app_env_is_set" ] || unset APP_ENV
  while IFS= read -r line; do
    case $line in
    APP_*) [ -n "$(eval "echo \"\${${line%%=*}+set}\"")" ] || eval "export $line" ;;
    esac
  done <"$up_record"
}
