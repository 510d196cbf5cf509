# shellcheck shell=bash
# Functions around Docker Compose for start-redis.sh, start-redis-insight.sh and ./dev. This file is sourced, never run.

# Sets `compose` to the command of Docker Compose. If there is none, prints the reason and the remedy, and returns 1.
find_compose() {
  if ! command -v docker >/dev/null 2>&1; then
    echo "Docker is not installed. Install Docker Desktop or Docker Engine: https://docs.docker.com/get-docker/" >&2
    return 1
  fi
  local answer
  if ! answer=$(docker info 2>&1); then
    case $answer in
    *'permission denied'*)
      echo "Docker refuses this user. Join its group, then log in again: sudo usermod -aG docker $(id -un)" >&2
      ;;
    *)
      echo "Docker is installed, but its daemon does not run. Start Docker Desktop, or: sudo systemctl start docker" >&2
      ;;
    esac
    return 1
  fi
  if docker compose version >/dev/null 2>&1; then
    # shellcheck disable=SC2034 # used by the scripts that source this file
    compose=(docker compose)
  elif docker-compose version --short 2>/dev/null | grep -q '^v\{0,1\}[2-9]'; then
    # shellcheck disable=SC2034
    compose=(docker-compose)
  else
    echo "Docker Compose 2 is not installed. Install its plugin: https://docs.docker.com/compose/install/" >&2
    return 1
  fi
}

# container_is NAME STATUS: succeeds if its health is STATUS. Without a health check, its state counts.
container_is() {
  [ "$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null)" = "$2" ]
}

# Refuses a container with this name that belongs to another project, for example to another clone with other data.
refuse_foreign_container() { # NAME ROOT
  local origin
  origin=$(docker inspect -f '{{index .Config.Labels "com.docker.compose.project.working_dir"}}' "$1" 2>/dev/null) || return 0
  [ -n "$origin" ] && [ "$origin" -ef "$2" ] && return 0
  echo "A container named $1 exists, but does not belong to this project (${origin:-not created by Docker Compose})." >&2
  echo "Stop it there, or remove it: docker rm -f $1" >&2
  return 1
}

# Waits for the health check of the container. If it does not pass in time, prints the last output of the container.
wait_until_healthy() { # NAME SECONDS
  local deadline=$((SECONDS + $2))
  while ! container_is "$1" healthy; do
    if [ "$SECONDS" -ge "$deadline" ] ||
      [ "$(docker inspect -f '{{.State.Status}} {{.RestartCount}}' "$1" 2>/dev/null)" != 'running 0' ]; then
      echo "$1 did not become healthy. Its last output:" >&2
      docker logs --tail 20 "$1" >&2
      return 1
    fi
    sleep 0.5
  done
}

port_is_taken() { # PORT on 127.0.0.1
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
