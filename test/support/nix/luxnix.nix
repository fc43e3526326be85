# A host of LuxNix itself: all of LuxNix's own modules but the three that units/nixos/luxnix.nix replaces, on the options
# of ./nixos.nix. Definitions of NixOS's other options are left out of account.
{
  host,
  libPath,
  luxnix,
  modulesPath,
  path,
}:
let
  lib = (import libPath).extend (
    final: _: { luxnix = import "${luxnix}/lib/module" { lib = final; }; }
  );
  replaced = map (name: "${luxnix}/modules/nixos/${name}") [
    "roles/postgres-default"
    "services/postgres"
    "services/endoreg-db-api-local"
  ];
  # snowfall-lib takes every folder with a default.nix for a module.
  modulesIn =
    folder:
    lib.concatMap (
      name:
      let
        below = "${folder}/${name}";
      in
      lib.optional (builtins.pathExists "${below}/default.nix" && !lib.elem below replaced) below ++ modulesIn below
    ) (lib.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir folder)));
  modules = modulesIn "${luxnix}/modules/nixos";
  evaluation = import ./evaluate.nix {
    inherit
      lib
      libPath
      modulesPath
      path
      ;
    modules = modules ++ [
      ../../../units/nixos/luxnix.nix
      "${luxnix}/${host}"
      { _module.check = false; }
    ];
  };
in
{
  inherit modules;
  # Of the rest, such as LuxNix's own commands, much is nixpkgs' to know.
  result = {
    inherit (evaluation.result)
      etc
      failed
      groups
      postgresql
      provision
      tmpfiles
      warnings
      ;
    services = lib.getAttrs [
      "endo-api"
      "endo-api-boot"
      "postgres-endoreg-setup"
    ] evaluation.result.services;
    users = lib.getAttrs [ "endoreg-service-user" ] evaluation.result.users;
  };
}
