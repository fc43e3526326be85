# As much of NixOS as the module sets: its options with their types, and the definitions of nixpkgs that the module has
# to get along with, so that it can be evaluated where nixpkgs is not at hand.
{
  config,
  lib,
  pkgs,
  release,
  ...
}:
let
  inherit (lib) mkDefault mkOption types;
  of = type: mkOption { inherit type; };
  default = type: value: mkOption { inherit type; default = value; };
  strings = types.listOf types.str;

  # A value of systemd's: definitions with a list among them are joined, others have to be the same.
  systemdValue = lib.mkOptionType {
    name = "value of systemd";
    merge =
      location: definitions:
      if lib.any (definition: builtins.isList definition.value) definitions then
        lib.concatMap (definition: lib.toList definition.value) definitions
      else
        lib.mergeEqualOption location definitions;
  };
  unit =
    more:
    default (types.attrsOf (
      types.submodule {
        options = {
          wantedBy = default strings [ ];
          requires = default strings [ ];
          wants = default strings [ ];
          after = default strings [ ];
          before = default strings [ ];
          description = default types.str "";
        }
        // more;
      }
    )) { };

  newer = lib.versionAtLeast release "25.11";
  postgresql = config.services.postgresql;
in
{
  options = {
    assertions = default (types.listOf types.unspecified) [ ];
    warnings = default strings [ ];
    environment.etc = default (types.attrsOf (types.submodule { options.source = of types.path; })) { };
    environment.systemPackages = default (types.listOf types.package) [ ];
    nix.package = default types.package pkgs.nix;
    boot = default (types.attrsOf types.anything) { };
    fileSystems = default (types.attrsOf types.anything) { };
    networking.enableIPv6 = default types.bool true;
    networking.hostName = default types.str "host";
    nixpkgs.hostPlatform = default types.str "x86_64-linux";
    programs = default (types.attrsOf types.anything) { };
    system.build = default (types.lazyAttrsOf types.unspecified) { };
    system.stateVersion = default types.str release;

    systemd.packages = default (types.listOf types.package) [ ];
    systemd.services = unit {
      path = default (types.listOf (types.either types.package types.str)) [ ];
      environment = default (types.attrsOf types.str) { };
      restartTriggers = default (types.listOf types.unspecified) [ ];
      restartIfChanged = default types.bool true;
      serviceConfig = default (types.attrsOf systemdValue) { };
    };
    systemd.targets = unit { };
    systemd.timers = unit { timerConfig = default (types.attrsOf systemdValue) { }; };
    systemd.tmpfiles.rules = default strings [ ];

    users.users = default (types.attrsOf (
      types.submodule {
        options = {
          uid = default (types.nullOr types.int) null;
          isSystemUser = default types.bool false;
          isNormalUser = default types.bool false;
          description = default types.str "";
          group = default types.str "";
          extraGroups = default strings [ ];
          home = default types.path "/var/empty";
          homeMode = default types.str "0700";
          createHome = default types.bool false;
          shell = default types.unspecified null;
          openssh.authorizedKeys.keys = default strings [ ];
        };
      }
    )) { };
    users.groups = default (types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            name = default types.str name;
            gid = default (types.nullOr types.int) null;
            members = default strings [ ];
          };
        }
      )
    )) { };

    services.postgresqlBackup.enable = default types.bool false;
    services.postgresql = {
      enable = default types.bool false;
      enableTCPIP = default types.bool false;
      package = of types.package;
      finalPackage = default types.package postgresql.package;
      dataDir = of types.path;
      authentication = default types.lines "";
      identMap = default types.lines "";
      ensureDatabases = default strings [ ];
      ensureUsers = default (types.listOf (types.submodule { options.name = of types.str; })) [ ];
      extensions = default types.unspecified (_: [ ]);
      settings = default (types.submodule {
        freeformType = types.attrsOf (
          types.oneOf [
            types.bool
            types.float
            types.int
            types.str
          ]
        );
        options.port = default types.port 5432;
      }) { };
    };
  };

  config = lib.mkMerge [
    {
      # A system with a failed assertion is none.
      system.build.toplevel =
        let
          failed = lib.filter (entry: !entry.assertion) config.assertions;
        in
        if failed == [ ] then
          pkgs.runCommand "nixos-system" { } "touch $out"
        else
          throw (lib.concatMapStringsSep "\n" (entry: entry.message) failed);
    }
    (lib.mkIf postgresql.enable {
      services.postgresql = {
        package = mkDefault pkgs.postgresql_17;
        dataDir = mkDefault "/var/lib/postgresql/${postgresql.package.psqlSchema}";
        authentication = lib.mkMerge [
          (lib.mkBefore "# a first line")
          (lib.mkAfter "local all all peer\nhost all all 127.0.0.1/32 md5\nhost all all ::1/128 md5\n")
        ];
        identMap = lib.mkAfter "postgres postgres postgres\n";
        settings.listen_addresses = if postgresql.enableTCPIP then "*" else "localhost";
      };
      users.users.postgres = {
        isSystemUser = true;
        group = "postgres";
      };
      users.groups.postgres = { };
      systemd.services.postgresql.wantedBy = lib.mkIf (!newer) [ "multi-user.target" ];
      systemd.services.postgresql-setup = lib.mkIf newer {
        requires = [ "postgresql.service" ];
        after = [ "postgresql.service" ];
      };
      systemd.targets.postgresql = lib.mkIf newer {
        wantedBy = [ "multi-user.target" ];
        requires = [
          "postgresql.service"
          "postgresql-setup.service"
        ];
      };
    })
  ];
}
