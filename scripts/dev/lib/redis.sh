# shellcheck shell=bash
# The Redis of the job queue: its address, its state, its start and its stop.

# shellcheck source=scripts/compose.sh
. "$root/scripts/compose.sh"
# shellcheck source=scripts/dev/lib/install.sh
. "$root/scripts/dev/lib/install.sh"

redis_address=$(setting cacheserver cache_server.redis.jobqueue.addr "")
redis_elsewhere= # sentinel or cluster, if the configuration names one
for key in sentinel.master cluster.addrs; do
  case $(setting cacheserver "cache_server.redis.jobqueue.$key" '') in
  '' | '[]') ;;
  *) redis_elsewhere=${key%.*} ;;
  esac
done
[ -n "$redis_address$redis_elsewhere" ] || redis_address=localhost:6379
redis_host=${redis_address%:*}
redis_host=${redis_host#[}
redis_host=${redis_host%]}
redis_port=${redis_address##*:}

# Exists while a Redis runs in Docker that ./dev started.
redis_in_docker=$run/redis.in-docker

# ask_redis COMMAND…: prints the reply of Redis, line by line. Works without redis-cli.
ask_redis() {
  within 5 converse_with_redis "$@"
}

converse_with_redis() {
  (
    exec 3<>"/dev/tcp/$redis_host/$redis_port" || exit 1
    printf '%s\r\n' "$@" QUIT >&3
    while IFS= read -r -t 2 line <&3; do echo "${line%$'\r'}"; done
  ) 2>/dev/null
}

redis_state() { # ready | loading | locked (wants a password) | away
  case $(ask_redis PING) in
  +PONG*) echo ready ;;
  -LOADING*) echo loading ;;
  -NOAUTH*) echo locked ;;
  *) echo away ;;
  esac
}

wait_for_redis() { # COMMAND ARG…: waits while the command succeeds, and at most 30 s for an answer
  local told='' deadline=$((SECONDS + 30))
  while :; do
    case $(redis_state) in
    ready | locked) return 0 ;;
    loading)
      [ -n "$told" ] || say "Redis is loading its data …"
      told=yes
      deadline=$((SECONDS + 30))
      ;;
    esac
    if [ "$SECONDS" -ge "$deadline" ]; then
      warn "Redis at $redis_address no longer answers."
      return 1
    fi
    if [ "${asked_to_stop:-0}" -ne 0 ] || ! "$@"; then return 1; fi
    nap 0.05
  done
}

# Finds the Redis at the configured address, or starts one there, in Docker or with redis-server.
find_or_start_redis() {
  if [ -n "$redis_elsewhere" ]; then
    say "Redis: config/$APP_ENV names a $redis_elsewhere, which ./dev neither starts nor checks."
    return 0
  fi
  if [ "$(redis_state)" != away ]; then
    wait_for_redis true
    return
  fi
  case $redis_host in
  localhost | 127.* | ::1) ;;
  *)
    warn "no Redis answers at $redis_address, which is another machine. Start it there, or set" \
      "APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=localhost:6379"
    return 1
    ;;
  esac
  if listens "$redis_host" "$redis_port"; then
    warn "$(listener "$redis_port") listens at $redis_address, but does not answer like Redis. Stop it, or set" \
      "another address: APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR=localhost:6380"
    return 1
  fi
  say "No Redis answers at $redis_address."
  start_redis_in_docker && return
  [ "${asked_to_stop:-0}" -eq 0 ] && start_redis_server
}

start_redis_in_docker() {
  [ "$redis_port" = 6379 ] || return 1
  find_compose 2>/dev/null || return 1
  say "Starting Redis in Docker (scripts/start-redis.sh start) …"
  : >"$redis_in_docker"
  if "$root/scripts/start-redis.sh" start; then
    return 0
  fi
  if [ "${asked_to_stop:-0}" -eq 0 ]; then
    rm -f "$redis_in_docker"
    say "Docker cannot start Redis. Using redis-server instead."
  fi
  return 1
}

start_redis_server() {
  find_or_install_redis_server || return 1
  local data=$root/redis/data/local
  mkdir -p "$data"
  say "Starting $redis_server on 127.0.0.1:$redis_port, data in redis/data/local …"
  start_process redis "-server" "$redis_server" --port "$redis_port" --bind 127.0.0.1 --dir "$data" \
    --appendonly yes --appendfsync everysec --save '' --maxmemory-policy noeviction --daemonize no
  record redis "$started" -server "$redis_port"
  if ! wait_for_redis pid_of redis >/dev/null; then
    warn "redis-server did not start. Its last lines:"
    tail -n 3 "$logs/redis.out.log" >&2
    tail -n 3 "$logs/redis.err.log" >&2
    warn "if it cannot read its data, another version may have written it. Then move redis/data/local away."
    return 1
  fi
}

# Stops the Redis that ./dev started, in this run or in an earlier one that was killed.
stop_redis() {
  if pid_of redis >/dev/null; then
    say "Stopping redis-server …"
    stop_processes redis
  fi
  rm -f "$run/redis.pid"
  if [ -e "$redis_in_docker" ]; then
    "$root/scripts/start-redis.sh" stop
    rm -f "$redis_in_docker"
  fi
}

# Prints which Redis is used, and warns about settings that would lose jobs.
describe_redis() { # INDENT
  if [ -n "$redis_elsewhere" ]; then
    echo "$1$redis_elsewhere, see config/$APP_ENV/cacheserver.yaml"
    return
  fi
  case $(redis_state) in
  away) echo "${1}no Redis answers at $redis_address" && return ;;
  locked) echo "$1$redis_address, which requires a password, so nothing else is known" && return ;;
  esac
  local reply version folder policy by
  reply=$(ask_redis INFO 'CONFIG GET dir')
  version=$(echo "$reply" | sed -n 's/^redis_version:/Redis /p')
  [ -z "$(echo "$reply" | sed -n 's/^valkey_version://p')" ] ||
    version=$(echo "$reply" | sed -n 's/^valkey_version:/Valkey /p')
  folder=$(echo "$reply" | awk '$0 == "dir" { getline; getline; print }')
  policy=$(echo "$reply" | sed -n 's/^maxmemory_policy://p')
  if pid_of redis >/dev/null; then
    by=", started by ./dev"
  elif [ "$folder" = /data ] && docker inspect redis >/dev/null 2>&1; then
    folder=$(docker inspect -f '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Source}}{{end}}{{end}}' redis)
    by=", in Docker"
  else
    by=", already running"
  fi
  case $reply in
  *aof_enabled:1*) echo "$1$redis_address: $version, data in ${folder:-an unknown folder}, AOF on$by" ;;
  *)
    echo "$1$redis_address: $version, data in ${folder:-an unknown folder}, AOF OFF$by"
    warn "this Redis has no AOF, so a crash loses the jobs of the last minutes. Fix:" \
      "redis-cli -h $redis_host -p $redis_port CONFIG SET appendonly yes" \
      "(and in its configuration: appendonly yes)"
    ;;
  esac
  [ "$policy" = noeviction ] ||
    warn "this Redis evicts jobs when its memory is full (maxmemory-policy $policy). Fix:" \
      "redis-cli -h $redis_host -p $redis_port CONFIG SET maxmemory-policy noeviction"
}
