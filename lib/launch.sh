# Sourced by every bin/NAME, and by lib/as-account, with the launcher's real path in $file: starts the built command of that
# name or, where nothing is built, the same command from its source.

# A core file would hold the password. The units have a limit of 1 byte, which shows as 0 and does more.
[ "$(ulimit -c)" = 0 ] || ulimit -c 0
# The commands check no certificate, and reading the extra ones costs Node.js 18 and 20 about 70 ms a start.
unset NODE_EXTRA_CA_CERTS
# Inspector, heap snapshots and reports would show the password; nothing here needs an option of Node.js.
unset NODE_OPTIONS
# The driver's native client is not part of this.
unset NODE_PG_FORCE_NATIVE

name=${file##*/}
folder=${file%/*}
root=$folder/..

# V8 compiles nothing on a thread of its own: where the program ends meanwhile, both may wait for each other for ever
# (nodejs/node issue 54918). Without threads for anything (--single-threaded) a run would take 15 % longer.
node='node --no-concurrent-recompilation --no-concurrent-sparkplug'
start() { exec $node "$@"; }
# systemd takes a status line from a unit's main process alone (NotifyAccess=main), and Node.js opens no datagram
# sockets of the file system: perl, which Debian always has, opens one and becomes Node.js. Without perl there is no line.
# systemd-notify(1) would be another process: listening to all of a unit (NotifyAccess=all) is listening to git's hooks as
# well, and brings the exposure of the setup's unit (systemd-analyze security) from 2.0 to 2.2.
if [ -n "${NOTIFY_SOCKET-}" ] && command -v perl >/dev/null; then
  unset PERL5LIB PERL5OPT
  start() {
    exec perl -MSocket=:all -e '$^F = 255;
      my $path = $ENV{NOTIFY_SOCKET} =~ s/^@/\0/r;
      $ENV{NOTIFY_FD} = fileno S
        if socket(S, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0) && connect(S, pack_sockaddr_un($path));
      exec { $ARGV[0] } @ARGV' $node "$@"
  }
fi

if ! command -v node >/dev/null; then
  echo "$name: Node.js is not on the PATH: install Node.js 18 or later" >&2
  exit 69
fi
# Behind "--" Node.js takes no option for its own: --env-file would have it obey NODE_OPTIONS in that file.
[ ! -e "$root/dist/bin/$name.cjs" ] || start -- "$root/dist/start.cjs" "$name" "$@"
if [ ! -e "$root/node_modules/tsx" ]; then
  echo "$name: neither a build nor the packages are there: run 'npm ci' in $root" >&2
  exit 69
fi
root=$(cd "$root" && pwd) && folder=$(cd "$folder" && pwd) || exit
# Its cache is a folder that any account could have made first.
export TSX_DISABLE_CACHE=1
start --import "$root/node_modules/tsx/dist/loader.mjs" -- "$folder/$name.ts" "$@"
