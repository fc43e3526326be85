#!/bin/bash
# Makes a base system in $1, which only ever exists finished. base.ts starts it in a mount and a process
# namespace of its own, so that nothing runs on or stays mounted when the test process is killed.
set -euo pipefail
target=$1 release=$2 packages=$3 sources=$4
mkdir -p "${target%/*}"
exec 9>"$target.lock"
flock 9
[ ! -e "$target" ] || exit 0

partial=$target.partial
rm -rf --one-file-system "$partial"
trap 'rm -rf --one-file-system "$partial"' EXIT
# pg_createcluster takes the encoding of its databases from the locale.
LC_ALL=C.UTF-8 mmdebstrap --quiet --variant=apt --mode=root --dpkgopt=force-unsafe-io \
  --include="$packages" "$release" "$partial" - <<<"$sources"
# A database that was not shut down would pay for its recovery on every boot.
chroot "$partial" sh -c 'LC_ALL=C exec /usr/lib/postgresql/*/bin/pg_controldata /var/lib/postgresql/*/main' |
  grep -q 'cluster state: *shut down$'
mv -T "$partial" "$target"
