# shellcheck shell=bash
# The live workers of this project's queues on any machine, from the atode CLI.

# Prints one line per live worker: id, host, pid, build and state, separated by tabs. Prints nothing if the CLI fails.
live_workers() { # PROFILE
  local cli
  cli=$(built "$1")/atode
  [ -x "$cli" ] || return 0
  "$cli" --direct workers --json 2>/dev/null | scalars_of_objects id host pid build state
}

# scalars_of_objects FIELD…: reads {"items": [object, …]}, and prints one line per object: its FIELDs, separated by tabs,
# with - for a missing field.
scalars_of_objects() {
  awk -v fields="$*" '
    function keep() { if (key != "") value[key] = text; key = ""; text = "" }
    { json = json $0 }
    END {
      count = split(fields, field, " ")
      for (at = 1; at <= length(json); at++) {
        c = substr(json, at, 1)
        if (quoted) {
          if (c == "\\") { at++; text = text substr(json, at, 1) }
          else if (c == "\"") quoted = 0
          else text = text c
        } else if (c == "\"") { quoted = 1; text = "" }
        else if (c == "{" || c == "[") { depth++; key = "" }
        else if (c == ":" && depth == 3) { key = text; text = "" }
        else if (c == "," && depth == 3) keep()
        else if (c == "}" || c == "]") {
          if (depth == 3) {
            keep()
            line = ""
            for (i = 1; i <= count; i++) line = line (i > 1 ? "\t" : "") (value[field[i]] == "" ? "-" : value[field[i]])
            print line
            for (name in value) delete value[name]
          }
          depth--
        } else if (c !~ /[ \t\r]/) text = text c
      }
    }'
}
