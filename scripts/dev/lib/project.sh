# shellcheck shell=bash
# Paths, messages and builds. Sourced by every command.
# shellcheck disable=SC2034 # the scripts that source this file use the variables

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
cd "$root" || exit 1
app_env_is_set=${APP_ENV:+yes}
export APP_ENV=${APP_ENV:-develop}

logs=$root/logs
run=$root/logs/run # pid files

say() {
  echo "==> $*"
}

warn() {
  echo "==> WARNING: $*" >&2
}

die() { # MESSAGE [STATUS]
  echo "==> $1" >&2
  exit "${2:-1}"
}

# Asks on a terminal. Without one, only a CI machine may install anything.
may_install() { # QUESTION; honors $assume_yes
  [ "${assume_yes:-}" = yes ] && return 0
  [ "${CI:-}" = true ] && return 0
  [ -t 0 ] || return 1
  local answer
  read -r -p "==> $1 [Y/n] " answer || return 1
  case $answer in '' | y | Y | yes) return 0 ;; *) return 1 ;; esac
}

require_cargo() {
  if ! command -v cargo >/dev/null 2>&1 && [ -r "$HOME/.cargo/env" ]; then
    # shellcheck disable=SC1091 # made by rustup
    . "$HOME/.cargo/env"
  fi
  command -v cargo >/dev/null 2>&1 ||
    die "cargo is not installed. Install Rust: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
}

# within SECONDS COMMAND…: runs the command, and ends it after that time.
within() {
  local deadline=$((SECONDS + $1)) pid
  shift
  "$@" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -gt "$deadline" ]; then
      kill "$pid" 2>/dev/null
      wait "$pid" 2>/dev/null
      return 1
    fi
    sleep 0.01
  done
  wait "$pid"
}

# Fails if the configuration is wrong. Called before any running process is touched.
configuration_is_valid() { # PROFILE
  local bin
  bin=$(built "$1")
  "$bin/api-gateway" --check-config >/dev/null && "$bin/worker" --check-config >/dev/null
}

# The programs that ./dev runs. Benchmarks, soak and test tools are not built.
build_programs=(cargo build --package api-gateway --package worker --package atode)
# Without the CLI. The packages are the same, so that no dependency is built twice with other features.
build_services=("${build_programs[@]}" --bin api-gateway --bin worker)

# Prints the folder with the binaries of PROFILE (debug or release).
built() { # PROFILE
  case ${CARGO_TARGET_DIR:-target} in
  /*) echo "$CARGO_TARGET_DIR/$1" ;;
  *) echo "$root/${CARGO_TARGET_DIR:-target}/$1" ;;
  esac
}
