# A stand-in for nixpkgs, made of the programs of the machine that the tests run on: as much of it as the package and
# the build of a configuration need. What it builds is what nixpkgs builds, but for the programs' paths.
{
  lib,
  path,
  system ? builtins.currentSystem,
}:
let
  build =
    name: attributes: script:
    derivation (
      {
        inherit name system;
        builder = "/bin/bash";
        args = [
          "-euo"
          "pipefail"
          "-c"
          # Nix ends whatever has closed its output, as many a last program does just before it ends: the shell stays.
          "${script}\n:"
        ];
        PATH = path;
      }
      // attributes
    );
  # A package whose programs are this machine's.
  ofThisMachine =
    name: version: programs:
    build name { } ''
      mkdir -p "$out/bin"
      for program in ${toString programs}; do ln -s "$(type -P "$program")" "$out/bin/$program"; done
    ''
    // {
      inherit version;
    };
  phases =
    attributes:
    build "${attributes.pname}-${attributes.version}"
      (removeAttrs attributes [
        "meta"
        "passthru"
        "nativeBuildInputs"
        "buildInputs"
        "outputHashMode"
      ])
      ''
        export TMPDIR=$PWD
        PATH=${lib.makeBinPath attributes.nativeBuildInputs}:$PATH
        runHook() { :; }
        cp -r --no-preserve=mode "$src" source && cd source
        eval "$buildPhase"
        eval "$installPhase"
        eval "$installCheckPhase"
      ''
    // attributes.passthru
    // {
      inherit (attributes) meta;
    };
  fixedOutput =
    attributes:
    build attributes.name
      {
        inherit (attributes)
          packageJson
          packageLock
          passAsFile
          outputHashMode
          outputHash
          ;
        outputHashAlgo = null;
      }
      ''
        export TMPDIR=$PWD
        ${attributes.buildCommand}
      '';
  # A file that can be read at once, unless it names what has to be built first.
  writeText =
    name: text:
    if lib.any (context: context ? outputs) (lib.attrValues (builtins.getContext text)) then
      build name {
        inherit text;
        passAsFile = [ "text" ];
      } ''cp "$textPath" "$out"''
    else
      builtins.toFile name text;
  postgresql =
    major: ofThisMachine "postgresql-${major}" major [ ] // { psqlSchema = major; };
  packages = {
    inherit lib callPackage;
    stdenv = {
      mkDerivation = phases;
      buildPlatform.canExecute = _: true;
      hostPlatform = { inherit system; };
    };
    stdenvNoCC.mkDerivation = fixedOutput;
    cacert = "/etc/ssl";
    bash = ofThisMachine "bash" "5" [
      "bash"
      "sh"
    ];
    coreutils = ofThisMachine "coreutils" "9" [
      "env"
      "mkdir"
      "readlink"
      "sleep"
    ];
    esbuild = ofThisMachine "esbuild" "0" [ "esbuild" ];
    git = ofThisMachine "git" "2" [ "git" ];
    nodejs = ofThisMachine "nodejs" "22" [
      "node"
      "npm"
    ];
    openssh = ofThisMachine "openssh" "9" [ "ssh" ];
    perl = ofThisMachine "perl" "5" [ "perl" ];
    postgresql_13 = postgresql "13";
    postgresql_16 = postgresql "16";
    postgresql_17 = postgresql "17";
    devenv = ofThisMachine "devenv" "2" [ ];
    nix = ofThisMachine "nix" "2" [ ];
    restic = ofThisMachine "restic" "0" [ "restic" ];
    systemd = ofThisMachine "systemd" "257" [ "systemctl" ];
    util-linux = ofThisMachine "util-linux" "2" [
      "flock"
      "mount"
      "pivot_root"
      "setpriv"
      "setsid"
      "umount"
      "unshare"
    ];
    inherit writeText;
    writeShellScript = writeText;
    runCommand = build;
    mkShellNoCC = attributes: build "shell" { inherit (attributes) NIXPKGS_LIB; } "touch $out";
    nixfmt-tree = ofThisMachine "nixfmt" "1" [ ];
    python3 = ofThisMachine "python3" "3" [ "python3" ];
    testers.runNixOSTest = scenario: build "vm-test" { inherit scenario; } "exit 1";
  };
  callPackage =
    file: given:
    let
      function = import file;
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) packages // given);
in
packages
