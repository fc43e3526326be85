# The commands with everything that they call, and the units with the paths of the store.
{
  lib,
  stdenv,
  callPackage,
  bash,
  coreutils,
  esbuild,
  git,
  nodejs,
  openssh,
  perl,
  postgresql_16,
  restic,
  systemd,
  util-linux,
}:
assert lib.versionAtLeast nodejs.version "22";
let
  manifest = lib.importJSON ../../package.json;
  npmPackages = callPackage ./npm-packages.nix { inherit nodejs; };
  # Node.js first of all: the commands are stored compiled by and for this one.
  pathBefore = lib.makeBinPath [
    nodejs
    bash
    coreutils
    git
    perl
    restic
    util-linux
  ];
  # Behind the host's own: psql and pg_dump are those of its server there, and systemctl is that of its systemd.
  pathAfter = lib.makeBinPath [
    postgresql_16
    systemd
    openssh
  ];
  parts = [
    "LICENSE"
    "README.md"
    "bin"
    "lib"
    "package.json"
    "units"
  ];
  # What is changed in the module is no reason to build the commands again.
  isPart =
    path: path != "units/nixos" && lib.any (part: path == part || lib.hasPrefix "${part}/" path) parts;
in
stdenv.mkDerivation {
  pname = manifest.name;
  inherit (manifest) version;

  src = lib.cleanSourceWith {
    name = "${manifest.name}-source";
    src = ../..;
    filter = path: _: isPart (lib.removePrefix "${toString ../..}/" (toString path));
  };

  strictDeps = true;
  nativeBuildInputs = [
    esbuild
    nodejs
  ];
  # Whose shebangs are patched.
  buildInputs = [ bash ];

  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR
    ln -s ${npmPackages}/node_modules node_modules
    npm run --silent build
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    env posixShell=${bash}/bin/sh systemctl=${systemd}/bin/systemctl \
      pathBefore=${pathBefore} pathAfter=${pathAfter} bash ${./install.sh}
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    bash ${./install-check.sh}
    runHook postInstallCheck
  '';

  passthru = { inherit npmPackages; };

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = "postgres-endoreg-setup";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
