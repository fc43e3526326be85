# Every command of what was installed below $out starts, with nothing on the PATH but what it brings along, and the
# setup knows a good manifest from a bad one.
set -euo pipefail

# Runs a command of the package with that PATH alone.
run() {
  env -i "$out/bin/$1" "${@:2}"
}

for command in "$out"/bin/*; do
  name=${command##*/}
  run "$name" --help | grep --quiet "^Usage: $name "
  run "$name" --version | grep --quiet "^$name "
done

: >empty.env
for manifest in "$out"/share/doc/endoreg-provision/examples/manifest.json \
  "$out"/share/doc/endoreg-provision/examples/manifest.gc-10.json; do
  env -i "ENDOREG_MANIFEST=$manifest" "$out/bin/postgres-endoreg-setup" --check-manifest --env-file "$PWD/empty.env"
done

echo '{ "roles": [], "databases": [] }' >bad.json
code=0
env -i "ENDOREG_MANIFEST=$PWD/bad.json" "$out/bin/postgres-endoreg-setup" --check-manifest \
  --env-file "$PWD/empty.env" 2>said || code=$?
if [ "$code" -ne 78 ]; then
  echo "a manifest without the application's role ended with $code:" >&2
  cat said >&2
  exit 1
fi
