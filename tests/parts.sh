# shellcheck shell=bash
# Builds several parts side by side, and shows how far each is. Sourced by prepare.sh:
#   part NAME COMMAND...    starts one, in the background
#   await_parts             draws until all have ended; a part that fails ends the others, and its log's end is shown
# On a terminal each part has a line with a bar; elsewhere a line each 10 s. What a part prints goes to its log.
# A part's scripts tell how far they are by `progress` (tests/bed/progress.sh), cargo's own bar is read by `with_cargo`.

names=() pids=() took=() status=()
# Of each part: what it does, from when and how far it was then; what is said of that now.
whats=() begins=() firsts=() shown=() percents=() counts=() lefts=()
parts=$(mktemp -d)
# Parts are ended with all that they have started: each is a process group.
end_parts() {
  local index
  exec 3>&2 2>/dev/null # bash tells of each process that is ended
  trap '' INT TERM HUP
  for index in "${!pids[@]}"; do
    [ -n "${status[$index]}" ] || kill -TERM -- "-${pids[$index]}" || true
  done
  for _ in $(seq 30); do
    for index in "${!pids[@]}"; do
      kill -0 -- "-${pids[$index]}" && { sleep 0.1; continue 2; }
    done
    break
  done
  for index in "${!pids[@]}"; do kill -KILL -- "-${pids[$index]}" || true; done
  exec 2>&3 3>&-
}
interrupted() { # SIGNAL NUMBER
  end_parts
  echo "prepare: ended by SIG$1. What is built stays, and the next run goes on from there" >&2
  exit $((128 + $2))
}
# shellcheck disable=SC2154 # of the trap's own
trap 'code=$?; end_parts; rm -rf "$parts"; exit $code' EXIT
trap 'interrupted INT 2' INT
trap 'interrupted TERM 15' TERM
trap 'interrupted HUP 1' HUP

part() {
  local name=$1 index=${#names[@]}
  shift
  names+=("$name") took+=("") status+=("")
  whats+=("") begins+=(0) firsts+=(0) shown+=("getting ready") percents+=("") counts+=("") lefts+=("")
  : >"$parts/$index"
  set -m
  (set +m; trap - EXIT INT TERM HUP; BED_PROGRESS=$parts/$index "$@") >"$parts/$index.log" 2>&1 </dev/null &
  pids+=($!)
  set +m
}

# with_cargo WHAT COMMAND...: a command that runs cargo, whose bar becomes the part's progress. Its output is dropped, what it says stays.
with_cargo() {
  local what=$1 chunk bar
  shift
  CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=100 "$@" 2>&1 >/dev/null |
    while IFS= read -r -d $'\r' chunk || [ -n "$chunk" ]; do
      bar=${chunk##*$'\n'}
      if [[ $bar =~ \]\ ([0-9]+)/([0-9]+) ]]; then
        echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]} $what" >"$BED_PROGRESS"
        chunk=${chunk%"$bar"}
      fi
      printf %s "$chunk"
    done
  return "${PIPESTATUS[0]}"
}

# Looks how far a part is. What was there when it was first looked at took no time.
look() { # INDEX
  local made total what now
  read -r made total what <"$parts/$1" || return 0 # it is being written
  [ "$made" -le "$total" ] || made=$total
  [ "${whats[$1]}" = "$what $total" ] || { whats[$1]="$what $total" firsts[$1]=$made begins[$1]=$SECONDS; }
  shown[$1]=$what percents[$1]='' counts[$1]='' lefts[$1]=''
  [ "$total" -gt 0 ] || return 0
  percents[$1]=$((made * 100 / total)) counts[$1]="$made of $total"
  # There is linking to do, or the like.
  [ "${percents[$1]}" -lt 100 ] || percents[$1]=99
  # A guess from less would be none.
  [ $((SECONDS - begins[$1])) -ge 5 ] && [ "$made" -gt "${firsts[$1]}" ] || return 0
  now=$(((SECONDS - begins[$1]) * (total - made) / (made - firsts[$1])))
  if [ "$now" -lt 90 ]; then lefts[$1]="$now s left"; else lefts[$1]="$(((now + 30) / 60)) min left"; fi
}

# A part's line for a terminal of so many columns.
line() { # INDEX COLUMNS
  local text percent room filled bar=''
  text=$(printf '%-14s' "${names[$1]}")
  case ${status[$1]} in
    0) text+="done in ${took[$1]} s" ;;
    ?*) text+="failed after ${took[$1]} s" ;;
    *)
      if [ -z "${percents[$1]}" ]; then
        text+="${shown[$1]}, $SECONDS s"
      else
        percent=$(printf '%3d %%  %-12s' "${percents[$1]}" "${lefts[$1]}")
        room=$(($2 - 1 - ${#text} - ${#percent} - 4))
        [ "$room" -le 24 ] || room=24
        if [ "$room" -ge 8 ]; then
          filled=$((percents[$1] * room / 100))
          bar="[$(printf '%*s' "$filled" '' | tr ' ' '#')$(printf '%*s' $((room - filled)) '' | tr ' ' -)] "
        fi
        text+="$bar$percent  ${shown[$1]}"
      fi
      ;;
  esac
  printf %s "${text:0:$(($2 - 1))}"
}

is_terminal() { [ -t 2 ] && [ -z "${CI-}" ] && [ "${TERM:-dumb}" != dumb ]; }

draw() {
  local index size columns style='' plain=''
  size=$(stty size <&2 2>/dev/null) || size='24 80'
  columns=${size#* }
  [ "$columns" -ge 1 ] || columns=80
  # Drawn over what was drawn before; a terminal that has become narrower must not wrap.
  [ -z "${drawn-}" ] || printf '\033[%dA' "$drawn" >&2
  for index in "${!names[@]}"; do
    [ -n "${NO_COLOR-}" ] || { plain=$'\033[0m' style=; case ${status[$index]} in '') ;; 0) style=$'\033[32m' ;; *) style=$'\033[31m' ;; esac; }
    printf '\r\033[?7l%s%s%s\033[K\033[?7h\n' "$style" "$(line "$index" "$columns")" "$plain" >&2
  done
  drawn=${#names[@]}
}

tell() {
  local index text
  for index in "${!names[@]}"; do
    [ -z "${status[$index]}" ] || continue
    text="prepare: ${names[$index]}: ${shown[$index]}"
    [ -z "${percents[$index]}" ] || text+=", ${counts[$index]} (${percents[$index]} %)${lefts[$index]:+, ${lefts[$index]}}"
    echo "$text, after $SECONDS s" >&2
  done
}

await_parts() {
  local index running failed='' next=0 begun=$SECONDS kept
  while :; do
    running=
    for index in "${!names[@]}"; do
      [ -z "${status[$index]}" ] || continue
      kill -0 "${pids[$index]}" 2>/dev/null && { running=1; look "$index"; continue; }
      status[index]=0
      wait "${pids[$index]}" || status[index]=$? failed=${failed:-$index}
      took[index]=$((SECONDS - begun))
      is_terminal || [ "${took[$index]}" -lt 10 ] || [ "${status[$index]}" != 0 ] || echo "prepare: ${names[$index]}: done in ${took[$index]} s" >&2
    done
    if is_terminal; then
      # What is there already is drawn for nobody.
      if [ $((SECONDS - begun)) -ge 2 ] || [ -n "${drawn-}" ]; then draw; fi
    elif [ $((SECONDS - begun - next)) -ge 10 ]; then
      next=$((SECONDS - begun))
      tell
    fi
    if [ -z "$running" ] || [ -n "$failed" ]; then break; fi
    sleep 0.3
  done
  [ -n "$failed" ] || return 0
  end_parts
  kept=${CARGO_TARGET_DIR:-target}/bed/prepare.log
  mkdir -p "${kept%/*}" && cp "$parts/$failed.log" "$kept"
  echo "prepare: could not build: ${names[$failed]}. The end of its log, $kept:" >&2
  tail -n 25 "$kept" >&2
  return 1
}
