# What becomes of a configuration: for the tests, as JSON. `modules` are the module under test and a host's own.
{
  libPath,
  lib ? import libPath,
  modules,
  path,
  modulesPath ? "/nowhere",
  release ? "26.05",
}:
let
  pkgs = import ./host-packages.nix { inherit lib path; };
  evaluated = lib.evalModules {
    modules = [ ./nixos.nix ] ++ modules;
    specialArgs = {
      inherit lib pkgs release;
      inherit modulesPath;
    };
  };
  inherit (evaluated) config;
  failed = lib.filter (entry: !entry.assertion) config.assertions;
in
{
  inherit evaluated pkgs;
  result = {
    failed = map (entry: lib.trim entry.message) failed;
    warnings = map lib.trim config.warnings;
    inherit (config.systemd) services targets timers;
    tmpfiles = config.systemd.tmpfiles.rules;
    packages = map (package: package.name) config.systemd.packages;
    commands = map (package: package.name) config.environment.systemPackages;
    inherit (config.users) groups;
    users = lib.mapAttrs (_: user: removeAttrs user [ "shell" ]) config.users.users;
    etc = lib.mapAttrs (_: file: file.source) config.environment.etc;
    provision = {
      inherit (config.services.endoreg-provision) manifest;
      # JSON would copy what a path literal stands for into the store.
      settings = lib.mapAttrs (
        _: value: if builtins.isPath value then toString value else value
      ) config.services.endoreg-provision.settings;
    };
    postgresql = {
      inherit (config.services.postgresql)
        enable
        authentication
        identMap
        settings
        ensureDatabases
        ensureUsers
        ;
    }
    // lib.optionalAttrs config.services.postgresql.enable {
      inherit (config.services.postgresql) dataDir;
      package = config.services.postgresql.package.name;
    };
  };
}
