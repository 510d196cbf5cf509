#!/usr/bin/env bash
# ./dev logs [PROCESS]: follows the output of all processes, or of one, until Ctrl-C.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/dev/lib/project.sh
. "$here/lib/project.sh"

[ $# -le 1 ] || die "usage: ./dev logs [PROCESS]" 2
files=()
# shellcheck disable=SC2231 # * is a pattern
for file in "$logs"/${1:-*}.out.log "$logs"/${1:-*}.err.log; do
  [ -e "$file" ] && files+=("${file#"$root/"}")
done
if [ ${#files[@]} -eq 0 ]; then
  known=
  for file in "$logs"/*.out.log; do
    [ ! -e "$file" ] || known="$known $(basename "$file" .out.log)"
  done
  die "logs/ has no log${1:+ of $1}. There are logs of:${known:- nothing yet. Run ./dev up}"
fi
exec tail -n 50 -f "${files[@]}"
