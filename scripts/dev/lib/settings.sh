# shellcheck shell=bash
# The configured addresses of the api-gateway and the worker, and health checks at them.
# shellcheck disable=SC2034 # the scripts that source this file use the variables

# setting FILE KEY DEFAULT: prints the value of KEY (a.b.c) as the processes see it: the environment variable APP__A__B__C
# (an empty one removes the key), otherwise config/<env>/FILE.yaml, otherwise the default.
setting() {
  local variable value
  variable=APP__$(echo "$2" | sed 's/\./__/g' | tr '[:lower:]' '[:upper:]')
  value=${!variable-unset}
  [ "$value" != unset ] || value=$(yaml_value "${APP_CONFIG_DIR:-config}/$APP_ENV/$1.yaml" "$2")
  echo "${value:-$3}"
}

# Prints the scalar of KEY, "-" for a block of keys, or nothing if the key is missing. Understands blocks by indentation,
# and maps in braces on one line, but no other YAML.
yaml_value() { # FILE KEY
  [ -r "$1" ] || return 0
  awk -v want="$2" '
    function plain(text) { gsub(/^[ "\047]+|[ "\047]+$/, "", text); return text }
    { sub(/^#.*/, ""); sub(/[ \t]#.*/, ""); sub(/[ \t\r]+$/, "") }
    !/^ *[A-Za-z_]+:/ { next }
    {
      match($0, /^ */); indent = RLENGTH
      colon = index($0, ":")
      key = substr($0, indent + 1, colon - indent - 1)
      rest = substr($0, colon + 1); sub(/^ +/, "", rest)
      while (depth && indents[depth] >= indent) depth--
      path = depth ? paths[depth] "." key : key
      depth++; indents[depth] = indent; paths[depth] = path
      if (path == want) { print rest == "" ? "-" : plain(rest); exit }
      if (rest ~ /^\{/ && index(want, path ".") == 1) {
        name = substr(want, length(path) + 2)
        rest = substr(rest, 2); gsub(/\{[^{}]*\}/, "-", rest)
        count = split(rest, pairs, /[,}]/)
        for (i = 1; i <= count; i++) {
          colon = index(pairs[i], ":")
          if (plain(substr(pairs[i], 1, colon - 1)) == name) { print plain(substr(pairs[i], colon + 1)); exit }
        }
      }
    }' "$1"
}

# Prints the address at which clients on this machine reach a server that listens on HOST.
reachable() { # HOST
  case $1 in
  0.0.0.0 | '' | '*') echo 127.0.0.1 ;;
  '::' | '[::]') echo ::1 ;;
  '['*']') echo "$1" | tr -d '[]' ;;
  *) echo "$1" ;;
  esac
}

gateway_host=$(reachable "$(setting config server.host 127.0.0.1)")
gateway_port=${up_gateway_port:-$(setting config server.port 8080)}
worker_host=$(reachable "$(setting config worker.host 127.0.0.1)")
worker_port=${up_worker_port:-$(setting config worker.port 8082)}

# Prints HOST:PORT in the form of a URL.
in_url() { # HOST PORT
  case $1 in *:*) echo "[$1]:$2" ;; *) echo "$1:$2" ;; esac
}

listens() { # HOST PORT
  within 3 connects "$1" "$2"
}

connects() { # HOST PORT
  (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

answers_healthz() { # HOST PORT
  within 5 asks_healthz "$1" "$2"
}

asks_healthz() { # HOST PORT
  (
    exec 3<>"/dev/tcp/$1/$2" || exit 1
    printf 'GET /healthz HTTP/1.0\r\nHost: %s\r\n\r\n' "$(in_url "$1" "$2")" >&3
    IFS= read -r -t 2 status <&3 || exit 1
    while IFS= read -r -t 2 _ <&3; do :; done # read the whole reply, so that the server can send it
    case $status in HTTP/1.?' 200'*) exit 0 ;; *) exit 1 ;; esac
  ) 2>/dev/null
}

listener() { # PORT: prints the process that listens there, if this user may know it
  local pid
  pid=$(lsof -nP -t -iTCP:"$1" -sTCP:LISTEN 2>/dev/null | head -n 1)
  [ -n "$pid" ] || pid=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1)
  if [ -n "$pid" ]; then echo "pid $pid ($(ps -o command= -p "$pid"))"; else echo "another process"; fi
}
