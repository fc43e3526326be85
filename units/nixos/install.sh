# Lays out what is built, as the Debian package does (units/debian/build.mjs), below $out. Called in the checkout with
#   posixShell   the path of a POSIX shell
#   systemctl    the path of systemctl
#   pathBefore   folders in front of the PATH: what the commands are built and tested with
#   pathAfter    folders behind it: of these the host's own count
set -euo pipefail

home=$out/share/endoreg-provision
doc=$out/share/doc/endoreg-provision
install -d "$out/bin" "$home/bin" "$home/lib" "$doc/examples" "$out/lib/systemd/system"

# With their times: what is stored compiled must not be older than what it was made of.
cp -rp dist "$home/dist"
install -m 0644 lib/launch.sh "$home/lib/launch.sh"
install -m 0755 lib/as-account "$home/lib/as-account"

node -p 'Object.entries(require("./package.json").bin).map(entry => entry.join(" ")).join("\n")' |
  while read -r name file; do
    install -m 0755 "$file" "$home/bin/$name"
    cat >"$out/bin/$name" <<EOF
#!$posixShell
PATH=$pathBefore\${PATH:+:\$PATH}:$pathAfter
export PATH
exec $home/bin/$name "\$@"
EOF
    chmod 0755 "$out/bin/$name"
  done

# And what is added to units of others.
for unit in units/*.service units/*.timer units/*.service.d/*.conf; do
  installed=$out/lib/systemd/system/${unit#units/}
  install -d "${installed%/*}"
  sed -e "s|/usr/bin/|$out/bin/|g" \
    -e "s|/usr/share/doc/|$out/share/doc/|g" \
    -e "/^#/! s|/bin/sh |$posixShell |g" \
    -e "/^#/! s,\(/bin/\)\?\bsystemctl ,$systemctl ,g" \
    "$unit" >"$installed"
done
# A unit would only fail on the host, where it names a program by a path of Debian's.
if grep -rnE '^[^#]*[^[:alnum:]_.-]/(usr|s?bin)/' "$out/lib/systemd/system"; then
  echo 'these lines name paths that NixOS does not have' >&2
  exit 1
fi

for program in $(grep -rohE "^Exec[A-Za-z]+=[-+]*$out/bin/[a-z-]+" "$out/lib/systemd/system" | sed 's/^[^/]*//'); do
  [ -x "$program" ] || { echo "a unit runs $program, which is no command of the package" >&2; exit 1; }
done

install -d "$home/prometheus"
install -m 0644 units/prometheus/* "$home/prometheus"
install -m 0644 README.md LICENSE "$doc"
install -m 0644 units/provision.env units/manifest*.json "$doc/examples"
