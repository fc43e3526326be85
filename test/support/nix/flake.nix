# The outputs of the flake, on a nixpkgs that has its lib, the options of ./nixos.nix and this machine's programs.
{ libPath, path }:
let
  lib = import libPath;
  nixpkgs = {
    outPath = "/nixpkgs";
    lib = lib // {
      nixosSystem =
        { modules }:
        (import ./evaluate.nix {
          inherit libPath modules path;
          modulesPath = ./modules;
        }).evaluated;
    };
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
      system: import ./host-packages.nix { inherit lib path system; }
    );
  };
  self = (import ../../../flake.nix).outputs { inherit self nixpkgs; };
in
self
