#!/bin/bash
# Makes in $1 a layer to put over the layers $2: what changes when the package file $3, and the packages after it, are
# installed there, as an operator would do it. The layer only ever exists finished. base.ts starts it as it does build-base.sh.
set -euo pipefail
target=$1 lower=$2 deb=$3
shift 3
exec 9>"$target.lock"
flock 9
[ ! -e "$target" ] || exit 0

# Each version of the package leaves a layer, and nobody comes back for yesterday's.
find "${target%/*}" -mindepth 1 -maxdepth 1 -name '*+*' -mmin +1440 -exec rm -rf --one-file-system {} +

partial=$target.partial
rm -rf --one-file-system "$partial"
mkdir -p "$partial"/{upper,work,root}
finish() { umount -l "$partial/root" || true; rm -rf --one-file-system "$partial"; }
trap finish EXIT
root=$partial/root
mount -t overlay -o "lowerdir=$lower,upperdir=$partial/upper,workdir=$partial/work" overlay "$root"

# What only the installation needs lies on mounts of its own and leaves nothing in the layer.
for folder in /tmp /run /var/lib/apt/lists /var/cache/apt; do
  mount -t tmpfs -o "mode=$(stat -c %a "$root$folder")" tmpfs "$root$folder"
done
[ ! -e "$root/etc/resolv.conf" ] || mount --bind "$(realpath /etc/resolv.conf)" "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$deb" "$root/tmp/package.deb"
unshare --mount bash "${0%/*}/enter.sh" "$root" \
  sh -c 'apt-get -q update && apt-get -q -y install /tmp/package.deb &&
    apt-get -q -y --no-install-recommends install "$@"' sh "$@"
rm "$root/usr/sbin/policy-rc.d"

umount -R "$root"
mv -T "$partial/upper" "$target"
