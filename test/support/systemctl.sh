#!/bin/sh
# Stands for systemctl(1) where no systemd runs: units are files that hold their state, and one of them is a real
# PostgreSQL. What it is asked to stop and start is a line each in a file. HERE/settings says where all is.
here=$(dirname "$0")/..
. "$here/settings"

main_pid() {
  read -r pid 2>/dev/null <"$DATA/postmaster.pid" && [ "$(readlink "/proc/$pid/cwd")" = "$DATA" ] && echo "$pid" || echo 0
}
active() {
  if [ "$1" = "$UNIT" ] && [ -n "$job" ]; then echo activating
  elif [ "$1" != "$UNIT" ]; then cat "$here/units/$1" 2>/dev/null || echo inactive
  elif [ "$(main_pid)" != 0 ]; then echo active
  else echo inactive; fi
}
pg_ctl() {
  setpriv --reuid="$RUNNER" --regid="$GROUP" --clear-groups -- \
    "$BIN/pg_ctl" -s -w -D "$DATA" -l "$here/server.log" -o "-c config_file=$CONFIG" "$@"
}

# Whether its start is not finished yet: so many times it is looked at, by what $here/job says.
job() {
  read -r left 2>/dev/null <"$here/job" && [ "$left" -gt 0 ] && echo $((left - 1)) >"$here/job" && echo 4711
}

verb= later=
while [ $# -gt 0 ]; do
  case $1 in
    --) shift && break ;;
    --no-block) later='later ' ;;
    -*) ;;
    *) [ -z "$verb" ] || break; verb=$1 ;;
  esac
  shift
done

case $verb in
  show)
    for name in "$@"; do
      job=
      [ "$name" != "$UNIT" ] || job=$(job)
      printf 'Id=%s\nLoadState=%s\nActiveState=%s\nMainPID=%s\nJob=%s\nRequiredBy=%s\n\n' "$name" \
        "$([ -e "$here/units/$name" ] && echo loaded || echo not-found)" "$(active "$name")" \
        "$([ "$name" = "$UNIT" ] && [ -z "$job" ] && { cat "$here/main-pid" 2>/dev/null || main_pid; } || echo 0)" "$job" \
        "$(cat "$here/needing/$name" 2>/dev/null)"
    done ;;
  list-units)
    for file in "$here/units"/$1; do
      [ "$(cat "$file" 2>/dev/null)" != active ] || echo "${file##*/} loaded active waiting a timer"
    done ;;
  stop | start)
    echo "$later$verb $*" >>"$here/log"
    for name in "$@"; do
      if [ -e "$here/signal/$verb-$name" ]; then
        signal=$(cat "$here/signal/$verb-$name")
        rm "$here/signal/$verb-$name"
        kill -s "$signal" "$PPID"
        [ "$signal" != KILL ] || exit 1
      fi
      [ ! -e "$here/feigns/$verb-$name" ] || continue
      if [ -e "$here/dies/$verb-$name" ]; then
        pg_ctl -m immediate stop
        echo "Job for $name failed." >&2
        exit 1
      fi
      if [ -e "$here/fails/$verb-$name" ]; then
        echo "Job for $name failed." >&2
        exit 1
      fi
      if [ "$name" = "$UNIT" ]; then
        [ "$verb" = "$([ "$(main_pid)" = 0 ] && echo stop || echo start)" ] || pg_ctl "$verb" || exit 1
      elif [ "$verb" = start ]; then echo active >"$here/units/$name"
      else echo inactive >"$here/units/$name"; fi
    done ;;
esac
