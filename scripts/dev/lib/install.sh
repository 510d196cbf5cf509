# shellcheck shell=bash
# Installs redis-server with the system's package manager if it is missing.

# Sets `redis_server` from $REDIS_SERVER, which the tests use too, or from the path.
find_redis_server() {
  redis_server=${REDIS_SERVER:-}
  [ -n "$redis_server" ] || redis_server=$(command -v redis-server || command -v valkey-server)
}

find_or_install_redis_server() {
  find_redis_server && return
  local install
  if command -v apt-get >/dev/null 2>&1; then
    install="apt-get install redis-server"
  elif command -v dnf >/dev/null 2>&1; then
    install="dnf install redis"
  elif command -v pacman >/dev/null 2>&1; then
    install="pacman -S valkey"
  elif command -v apk >/dev/null 2>&1; then
    install="apk add redis"
  elif command -v brew >/dev/null 2>&1; then
    install="brew install redis"
  else
    warn "redis-server is not installed, and no known package manager is available. Install Redis, then try again."
    return 1
  fi
  local as_root=()
  if [ "${install%% *}" != brew ] && [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    install="sudo $install"
  fi
  say "redis-server is not installed. The command to install it: $install (it will not run as a service)"
  if ! may_install "Install it?"; then
    warn "not installed. Run the command yourself, or try again with --yes."
    return 1
  fi
  case $install in
  *apt-get*) ${as_root[@]+"${as_root[@]}"} sh -c "$install_by_apt" ;;
  *dnf*) ${as_root[@]+"${as_root[@]}"} dnf install -y redis ;;
  *pacman*) ${as_root[@]+"${as_root[@]}"} pacman -S --noconfirm --needed valkey ;;
  *apk*) ${as_root[@]+"${as_root[@]}"} apk add redis ;;
  *brew*) brew install redis ;;
  esac || {
    warn "the installation failed. The reason is above."
    return 1
  }
  hash -r
  find_redis_server || {
    warn "redis-server is still not found on the path."
    return 1
  }
}

# Debian starts and enables each service that it installs. policy-rc.d is its own way to prevent the start. An existing
# policy-rc.d is left as it is. The other package managers do not start services.
# shellcheck disable=SC2016 # expanded by sh, as root
install_by_apt='
  set -e
  apt-get update -qq
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    trap "exit 1" INT TERM HUP
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod +x "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server
  update-rc.d redis-server disable
'
