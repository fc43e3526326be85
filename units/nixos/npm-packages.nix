# The npm packages of which the commands are built.
#
# nixpkgs' own helpers take the addresses from package-lock.json, and ours names none. So npm fetches from wherever it
# is set up to, and the hash of what comes out, which test/unit/nix-npm.test.ts works out again, is known beforehand.
{
  lib,
  stdenvNoCC,
  cacert,
  nodejs,
}:
let
  lock = import ./npm-lock.nix;
in
stdenvNoCC.mkDerivation {
  name = "endoreg-provision-npm-packages-${lock.digest}";

  inherit (lock) packageJson packageLock;
  passAsFile = [
    "packageJson"
    "packageLock"
  ];
  nativeBuildInputs = [ nodejs ];

  buildCommand = ''
    export HOME=$TMPDIR
    cp "$packageJsonPath" package.json
    cp "$packageLockPath" package-lock.json
    sh ${./npm-packages.sh}
    mkdir "$out"
    mv node_modules "$out"
  '';

  outputHashMode = "recursive";
  outputHash = "sha256-JYISIwnIPDMdGszP4gDcB1L/8N77jQQGNSqmnvWj7eg=";

  NODE_EXTRA_CA_CERTS = "${cacert}/etc/ssl/certs/ca-bundle.crt";
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "npm_config_registry" ];
}
