# shellcheck shell=bash
# What the running ./dev up was started with and where it listens, so that status, restart, worker and down ask the
# same addresses, whatever their own environment says. Needs processes.sh.

up_record=$run/up.record

# Passwords are never written down.
remember_environment() {
  local name
  for name in ${!APP_@}; do
    case $name in *PASSWORD) ;; *) printf '%s=%q\n' "$name" "${!name}" ;; esac
  done >"$up_record"
}

# The ports that the processes got, where the configuration leaves them open (port 0).
remember_ports() { # GATEWAY_PORT WORKER_PORT
  printf 'up_gateway_port=%q\nup_worker_port=%q\n' "$1" "$2" >>"$up_record"
}

# Takes over the environment of the running ./dev up. Without one, everything stays as it is.
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

# As recall, but what the caller has set stays.
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
