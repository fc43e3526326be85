/** Part of the names of the folders of throwaway clusters, by which those that a power cut left are known. */
export const PREFIX = 'endoreg-drill-'
export const PORT = 5432
/** The first line of a script that could not do its work: that it ends is not always seen, for the pipe may stay open. */
export const FAILED = 'failed'

/**
 * Makes the folder of throwaway clusters, and in it an empty cluster that the others are copies of; removes it when its
 * standard input ends. That happens also where the process that started it is killed, so nothing is left. It runs with
 * the ids of the account that owns the clusters, and holds a lock on the folder: a folder that nobody has locked was left by a power cut.
 */
export const KEEP_FOLDER = `
umask 077
trap '' HUP INT TERM PIPE
parent=$1 initdb=$2 rules=$3 map=$4 settings=$5
shift 5
for left in "$parent"/${PREFIX}*; do
  [ -O "$left" ] && [ ! -L "$left" ] && flock --nonblock "$left" rm -rf -- "$left"
done
folder=$(mktemp -d "$parent/${PREFIX}XXXXXXXXXX") || exit
exec 9<"$folder" && flock 9
if "$initdb" --pgdata="$folder/empty" --no-sync "$@" </dev/null >&2 9<&-; then
  printf '%s\\n' "$rules" >"$folder/empty/pg_hba.conf"
  printf '%s\\n' "$map" >"$folder/empty/pg_ident.conf"
  printf '%s\\n' "$settings" >>"$folder/empty/postgresql.conf"
  echo "$folder"
fi
exec >&-
cat >/dev/null
# A server of its that is still at work ends at the same moment.
turn=0
until rm -rf -- "$folder" 2>/dev/null || [ "$turn" -gt 400 ]; do
  turn=$((turn + 1))
  sleep 0.05
done
`

/**
 * What programs need of a host, its account and data apart. Some of Debian's are links into /etc/alternatives, and its
 * dictionaries are in /var/cache.
 */
const SEEN =
  '/bin /lib /lib32 /lib64 /libx32 /usr /nix/store /run/current-system /etc/ld.so.cache /etc/alternatives /etc/ssl/openssl.cnf /var/cache/postgresql /dev/null /dev/zero /dev/random /dev/urandom'

/** The command that shuts a server up in namespaces of its own: root in these, with no right on the host. */
export const NAMESPACES = [
  'unshare',
  '--map-root-user',
  '--mount',
  '--net',
  '--pid',
  '--ipc',
  '--fork',
  '--kill-child',
] as const

/**
 * Runs a copy of the empty cluster in `folder`. It is the first process in namespaces of its own: all in them ends with it, at any
 * moment when its standard input ends. It sees its data and the programs, and nothing else of the host: no other process or file, no
 * socket, no network. What it needs to start, and its own socket, are taken out of its sight when it is ready, which is
 * before anything is restored. The server has no right even on these namespaces: a second user namespace gives it back
 * its own uid, since PostgreSQL does not run as root, and whoever is not root in one keeps no capability (user_namespaces(7)).
 */
export const RUN_SERVER = `
start() {
  trap '[ "$?" -eq 0 ] || echo ${FAILED}' EXIT
  set -e
  umask 022
  folder=$1 bin=$2 account=$3 uid=$4 gid=$5 seconds=$6 preloaded=$7
  PATH=$PATH:/usr/sbin:/sbin
  data=$folder/data socket=$folder/socket root=$folder/root
  rm -rf -- "$data" "$socket"
  mkdir -p -- "$socket" "$root"
  cp -a -- "$folder/empty" "$data"
  mount -t tmpfs -o mode=0755,nosuid,nodev,size=16m none "$root"
  mkdir -m 1777 "$root/tmp"
  mkdir "$root/etc" "$root/host"
  printf '%s\\n' "$account:x:$uid:$gid::/:/bin/sh" >"$root/etc/passwd"
  for path in ${SEEN} /proc "\${bin%/*}" "\${LOCALE_ARCHIVE-}" "\${LOCPATH-}" "$data" "$socket"; do
    if [ ! -e "$path" ] || [ -e "$root$path" ]; then continue; fi
    mkdir -p -- "$root\${path%/*}"
    if [ -L "$path" ]; then
      cp -P -- "$path" "$root$path"
    else
      if [ -d "$path" ]; then mkdir "$root$path"; else : >"$root$path"; fi
      mount --rbind "$path" "$root$path"
    fi
  done
  cd "$root"
  pivot_root . host
  umount --lazy /host
  rmdir /host
  log=$data/log
  unshare --user --map-user="$uid" --map-group="$gid" setpriv --no-new-privs \\
    "$bin/pg_ctl" start --silent --wait --timeout="$seconds" --pgdata="$data" --log="$log" \\
    --options="-c shared_preload_libraries=$preloaded" </dev/null >/dev/null || {
    [ ! -e "$log" ] || tail -n 20 "$log" >&2
    exit 1
  }
  umount --lazy "$socket" /proc
  echo ready
}
trap '' HUP INT TERM PIPE
start "$@" </dev/null &
exec >&- 2>&-
read -r line || :
`
