#!/usr/bin/env bash
# Copies the AOF of a running Redis 7 into a new folder, while jobs are enqueued and run. docs/backup.md explains it.
#
#   scripts/backup.sh [--rewrite] [--keep N] [--data-dir DIR] FOLDER [REDIS-CLI-OPTION…]
#
#   --rewrite       let Redis rewrite its AOF first, so that the backup is small and loads fast
#   --keep N        afterwards remove all complete backups in FOLDER but the newest N
#   --data-dir DIR  where this machine sees the folder that Redis calls its `dir` (default: the same path)
#
# The backup is FOLDER/atode-<time in UTC>. It contains all changes that Redis had answered at that time, up to two
# seconds more or less. Run it on Redis' machine, as a user that may read its files.
#
# REDIS_PASSWORD_FILE names a file with the password (or set REDISCLI_AUTH).
set -euo pipefail

# Longest time to wait for a rewrite of the AOF.
REWRITE_DEADLINE=1800

say() { echo "backup: $*" >&2; }

die() {
  say "$*"
  exit 1
}

usage() {
  sed -n '/^#   scripts/,/^set/{ /^set/!s/^# \{0,1\}//p; }' "$0"
}

wrong_usage() {
  usage >&2
  exit 2
}

rewrite='' keep='' data_dir=''
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help)
    usage
    exit
    ;;
  --rewrite) rewrite=yes ;;
  --keep | --data-dir)
    [ $# -ge 2 ] || wrong_usage
    if [ "$1" = --keep ]; then keep=$2; else data_dir=$2; fi
    shift
    ;;
  -*) wrong_usage ;;
  *) break ;;
  esac
  shift
done
[ $# -ge 1 ] || wrong_usage
case $keep in *[!0-9]* | 0) die "--keep expects a number of 1 or more, found $keep" ;; esac
folder=$1
shift
redis_cli=(redis-cli -e "$@")
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE") || exit 1
  export REDISCLI_AUTH
fi

cli() { "${redis_cli[@]}" "$@" </dev/null; }

config() { # NAME
  cli config get "$1" | tr -d '\r' | sed -n 2p
}

persistence() { # FIELD of INFO persistence
  cli info persistence | tr -d '\r' | sed -n "s/^$1://p"
}

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

# --- What is undone on every way out --------------------------------------------------------------------------------

links='' partial='' percentage=''

allow_rewrites() {
  [ -n "$percentage" ] || return 0
  if cli config set auto-aof-rewrite-percentage "$percentage" >/dev/null; then
    percentage=''
  else
    say "Redis will not rewrite its AOF by itself until somebody runs" \
      "CONFIG SET auto-aof-rewrite-percentage $percentage, or until it restarts."
    return 1
  fi
}

clean_up() {
  local status=$?
  trap - EXIT
  allow_rewrites || status=1
  if [ -n "$links" ]; then rm -rf "$links"; fi
  if [ -n "$partial" ]; then rm -rf "$partial"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Steps ----------------------------------------------------------------------------------------------------------

# Two backups at the same time would each restore the setting that the other one has changed. The lock ends with this
# process. macOS has no flock.
take_lock() {
  if command -v flock >/dev/null 2>&1; then
    exec 9>"$folder/.lock"
    flock --nonblock 9 || die "another backup is running: it holds $folder/.lock"
  fi
  # Remove the remains of a backup that was killed.
  rm -rf "$folder"/.partial-* "$data_dir"/.atode-backup-*
}

wait_for_rewrites() {
  local deadline=$((SECONDS + REWRITE_DEADLINE))
  while [ "$(persistence aof_rewrite_in_progress)$(persistence aof_rewrite_scheduled)" != 00 ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "Redis is still rewriting its AOF after $REWRITE_DEADLINE s"
    sleep 0.2
  done
}

# The files that Redis loads, as its manifest lists them.
files_of() { # MANIFEST
  sed -n 's/^file \(.*\) seq [0-9][0-9]* type [bi].*/\1/p' "$1" | tr -d '"'
}

# Redis appends to these files or replaces them by new ones, and never changes what it has written. So links stay
# consistent while Redis continues, and rewrites are allowed again after an instant.
link_files() { # TARGET
  local file
  mkdir "$1" 2>/dev/null && ln "$aof/$manifest" "$1/" 2>/dev/null || return 1
  while IFS= read -r file; do
    ln "$aof/$file" "$1/" || return 1
  done <<<"$(files_of "$1/$manifest")"
}

copy_files() { # FROM TARGET
  local file
  cp -p "$1/$manifest" "$2/"
  while IFS= read -r file; do
    cp -p "$1/$file" "$2/"
  done <<<"$(files_of "$2/$manifest")"
}

size_of() { wc -c <"$1" | tr -d ' '; }

# The end of the copy may be in the middle of a write, and is cut off then. Everything that begins before `settled` was
# written completely before the copy, so an error there is damage.
check_copy() { # FOLDER
  local out last good
  if redis-check-aof "$1/$manifest" >/dev/null 2>&1; then return 0; fi
  last=$(files_of "$1/$manifest" | tail -n 1)
  # Exits with 1 for a bad file, and names the last good byte of each file that it has read.
  out=$(redis-check-aof "$1/$manifest" 2>&1) || true
  good=$(sed -n "s/^AOF analyzed: filename=$last, .*ok_up_to=\([0-9]*\),.*/\1/p" <<<"$out")
  if [ -z "$good" ] || [ "$good" -lt "$settled" ]; then
    die "the AOF is damaged, and Redis may not load it (or redis-check-aof is older than Redis): $out"
  fi
  head -c "$good" "$1/$last" >"$1/cut"
  mv "$1/cut" "$1/$last"
  out=$(redis-check-aof "$1/$manifest" 2>&1) || die "the AOF is damaged, and Redis may not load it: $out"
}

remove_old() {
  local backups=() i
  for i in "$folder"/atode-*Z/backup.txt; do
    [ -e "$i" ] && backups+=("${i%/backup.txt}")
  done
  # In the order of their names, which is the order of their times.
  for ((i = 0; i < ${#backups[@]} - keep; i++)); do
    rm -rf "${backups[$i]}"
    say "removed ${backups[$i]}, because --keep is $keep"
  done
}

# --- The backup -----------------------------------------------------------------------------------------------------

umask 077
started=$SECONDS
command -v redis-check-aof >/dev/null 2>&1 || die "redis-check-aof is missing: install redis-tools"
[ "$(persistence loading)" = 0 ] || die "Redis is loading its data, or cannot be reached"
[ "$(persistence aof_enabled)" = 1 ] || die "Redis has no AOF (appendonly no). Copy its dump.rdb after BGSAVE instead."
[ "$(persistence aof_last_write_status)" = ok ] || die "Redis cannot write its AOF: see its log"
version=$(cli info server | tr -d '\r' | sed -n 's/^redis_version://p')
appenddirname=$(config appenddirname)
[ -n "$appenddirname" ] || die "Redis $version has another form of AOF: version 7 or later is needed"
appendfilename=$(config appendfilename)
manifest=$appendfilename.manifest
[ -n "$data_dir" ] || data_dir=$(config dir)
aof=$data_dir/$appenddirname
[ -r "$aof/$manifest" ] || die "cannot read $aof/$manifest: run this on Redis' machine, as root or as Redis' user," \
  "or name its folder with --data-dir"

mkdir -p "$folder"
take_lock

percentage_now=$(config auto-aof-rewrite-percentage)
if [ "$percentage_now" = 0 ]; then
  say "WARNING: auto-aof-rewrite-percentage is 0, so Redis never rewrites its AOF by itself. A backup that was killed" \
    "leaves this behind. Redis' default is 100."
else
  percentage=$percentage_now
  cli config set auto-aof-rewrite-percentage 0 >/dev/null
fi
wait_for_rewrites
if [ -n "$rewrite" ]; then
  cli bgrewriteaof >/dev/null
  wait_for_rewrites
  [ "$(persistence aof_last_bgrewrite_status)" = ok ] || die "Redis could not rewrite its AOF: see its log"
fi

now=$(date -u +%Y%m%dT%H%M%SZ)
while [ -e "$folder/atode-$now" ]; do
  sleep 0.2
  now=$(date -u +%Y%m%dT%H%M%SZ)
done
backup=$folder/atode-$now
partial=$folder/.partial-$$
mkdir -p "$partial/$appenddirname"
links=$data_dir/.atode-backup-$$
linked=yes
link_files "$links" || linked=''
last=$(files_of "$aof/$manifest" | tail -n 1)
settled=$(size_of "$aof/$last")
# A write that was going on at that instant has ended when Redis answers again.
[ "$(persistence aof_last_write_status)" = ok ] || die "Redis cannot write its AOF: see its log"
# Without links, because of permissions or the file system, rewrites wait for the copy.
[ -n "$linked" ] || copy_files "$aof" "$partial/$appenddirname"
if [ -n "$linked" ]; then copied=$links; else copied=$partial/$appenddirname; fi
cmp -s "$aof/$manifest" "$copied/$manifest" || die "somebody has started a rewrite of the AOF: repeat the backup"
allow_rewrites
[ -z "$linked" ] || copy_files "$links" "$partial/$appenddirname"
rm -rf "$links"
check_copy "$partial/$appenddirname"

cat >"$partial/backup.txt" <<TEXT
created_at=$now
redis_version=$version
appenddirname=$appenddirname
appendfilename=$appendfilename
TEXT
(cd "$partial" && sha256 backup.txt "$appenddirname"/* >SHA256SUMS)
# The backup must survive a crash of this machine before an older one is removed.
sync
mv "$partial" "$backup"
partial=''
if [ -n "$keep" ]; then remove_old; fi
say "$backup, $(du -sk "$backup" | cut -f1) KiB, in $((SECONDS - started)) s"
echo "$backup"
