/** Part of the names of the folders of throwaway clusters, by which those that a power cut left are known. */
export const PREFIX = 'endoreg-drill-'
export const PORT = 5432

/**
 * Keeps a throwaway cluster, with the ids of the account that it belongs to: makes its folder, starts the server, and
 * when its standard input ends, however that comes, stops the server and removes the folder. So nothing is left where
 * the one who started it is killed. It holds a lock on the folder: one that nobody holds was left by a power cut.
 */
export const KEEPER = `
umask 077
trap '' HUP INT TERM PIPE
parent=$1 initdb=$2 postgres=$3 preload=$4 rules=$5 map=$6
shift 6
for left in "$parent"/${PREFIX}*; do
  [ -O "$left" ] && [ ! -L "$left" ] && flock --nonblock "$left" rm -rf -- "$left"
done
folder=$(mktemp -d "$parent/${PREFIX}XXXXXXXXXX") || exit
exec 9<"$folder" && flock 9
if "$initdb" --pgdata="$folder/data" --no-sync "$@" </dev/null >&2 4>&-; then
  printf '%s\\n' "$rules" >"$folder/data/pg_hba.conf"
  printf '%s\\n' "$map" >"$folder/data/pg_ident.conf"
  setpriv --pdeathsig QUIT "$postgres" -D "$folder/data" -k "$folder" -p ${PORT} -h '' \\
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c wal_level=minimal -c max_wal_senders=0 \\
    -c archive_mode=off -c autovacuum=off -c max_logical_replication_workers=0 -c max_connections=20 \\
    -c max_prepared_transactions=0 -c dynamic_shared_memory_type=mmap -c allow_in_place_tablespaces=on \\
    -c logging_collector=off -c log_destination=stderr -c log_error_verbosity=terse -c log_statement=none \\
    -c log_min_error_statement=panic -c unix_socket_permissions=0700 -c ssl=off -c jit=off \\
    -c "shared_preload_libraries=$preload" </dev/null >&4 2>&4 &
  server=$!
  echo "$folder"
fi
exec 4>&- >&-
cat >/dev/null
turn=0
if [ -n "\${server-}" ]; then
  kill -QUIT "$server"
  # One that was asked at its very start does not hear it.
  while read -r pid name state rest <"/proc/$server/stat" && [ "$state" != Z ]; do
    turn=$((turn + 1))
    [ "$turn" -ne 120 ] || kill -KILL "$server"
    sleep 0.05
  done
fi
until rm -rf -- "$folder" 2>/dev/null || [ "$turn" -gt 400 ]; do
  turn=$((turn + 1))
  sleep 0.05
done
`
