# shellcheck shell=bash
# How far a build is. Sourced by the scripts that build a part of the test bed; prepare.sh draws it (tests/parts.sh).

# progress WHAT DONE TOTAL: into the file that somebody draws from. Where nobody does: a line each 10 s. A TOTAL of 0 is not known yet.
progress() {
  if [ -n "${BED_PROGRESS-}" ]; then
    echo "$2 $3 $1" >"$BED_PROGRESS"
  elif [ "$SECONDS" -ge "${progress_next:=10}" ]; then
    progress_next=$((SECONDS + 10))
    echo "$(basename "$0" .sh): $1, $2 of $3 after $SECONDS s" >&2
  fi
}

# follow PID WHAT COMMAND...: progress until a process ends; COMMAND prints how much is done, and of how much.
follow() {
  local pid=$1 what=$2 made total
  shift 2
  while kill -0 "$pid" 2>/dev/null; do
    read -r made total < <("$@") || true
    progress "$what" "${made:-0}" "${total:-0}"
    sleep 1
  done
}

# go_build LOG OUT FLAGS -- PACKAGE...: all programs of these packages into OUT. An interrupted build goes on where it stopped (Go's
# build cache): only what is not in there yet is to be counted.
go_build() {
  local log=$1 out=$2 flags=()
  shift 2
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  rm -f "$log.todo"
  go list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "${flags[@]}" "$@" >"$log.list" 2>"$log" && mv "$log.list" "$log.todo" &&
    go build -v -o "$out" "${flags[@]}" "$@" >>"$log" 2>&1
}

# go_built LOG: how many packages it has built, and of how many. While modules are fetched nobody knows.
go_built() {
  [ ! -e "$1.todo" ] || echo "$(grep -Fxf "$1.todo" "$1" | sort -u | wc -l) $(wc -l <"$1.todo")"
}
