# The options of services.endoreg-provision.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  types = import ./types.nix { inherit lib; };
  settings = import ./settings.nix { inherit config lib; };
  inherit (lib) literalExpression mkOption;
  inherit (lib.types)
    attrsOf
    bool
    either
    lines
    listOf
    nullOr
    package
    str
    ;

  calendar =
    what:
    mkOption {
      type = nullOr types.text;
      default = null;
      example = "*-*-* 02:30:00";
      description = "When ${what}, as a calendar event of {manpage}`systemd.time(7)`; with `null` when the unit says.";
    };
in
{
  options.services.endoreg-provision = {
    enable = lib.mkEnableOption "provisioning of PostgreSQL for the EndoReg API, on every boot";

    package = mkOption {
      type = package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "inputs.endoreg-provision.packages.\${system}.default";
      example = literalExpression "pkgs.endoreg-provision";
      description = "The package with the commands and their units.";
    };

    settings = lib.mapAttrs (_: mkOption) settings;

    vault = {
      file = mkOption {
        type = types.secretFile;
        default = "/etc/secrets/vault/SCRT_local_password_maintenance_password";
        example = "/run/secrets/endoreg-password";
        description = ''
          The vault file: the one source of the application's password. It is generated where there is none. Never a
          path in the Nix store, which every account can read.
        '';
      };
      owner = mkOption {
        type = types.accountName;
        default = "admin";
        example = "root";
        description = "The account that the vault's file and folder belong to. It has to exist.";
      };
      group = mkOption {
        type = types.accountName;
        default = "sensitiveServices";
        example = "keys";
        description = "The group that may read the vault. It is declared here.";
      };
      managedBy = mkOption {
        type = nullOr types.text;
        default = null;
        example = "sops-nix";
        description = "The tool that fills the vault file, where that is another one: then it is neither generated nor rotated here.";
      };
      createFolder = mkOption {
        type = bool;
        default = config.services.endoreg-provision.settings.ENDOREG_VAULT_MANAGED_BY == null;
        defaultText = literalExpression "config.services.endoreg-provision.vault.managedBy == null";
        example = false;
        description = "Whether the vault's folder is made at boot. The units write in it and do not make it.";
      };
    };

    api = {
      enable = mkOption {
        type = bool;
        default = true;
        example = false;
        description = "Whether the API runs on this host. Without it PostgreSQL is provisioned all the same.";
      };
      user = mkOption {
        type = types.accountName;
        default = "endoreg-service-user";
        example = "endo";
        description = "The application's account. It is declared here; its uid is 400 under the name that ships.";
      };
      group = mkOption {
        type = types.accountName;
        default = "endoreg-service";
        example = "endo";
        description = "The primary group of that account. It is declared here; its gid is 101 under the name that ships.";
      };
      directory = mkOption {
        type = types.absolutePath;
        default = "/var/endoreg-service-user/endo-api";
        example = "/srv/endo-api";
        description = "The application's checkout.";
      };
      command = mkOption {
        type = types.text;
        default = "devenv shell -- run-prod-server";
        example = "/run/current-system/sw/bin/endo-api serve";
        description = "What `endo-api.service` runs in the checkout: words, as a shell splits them.";
      };
      path = mkOption {
        type = listOf (either package str);
        default = [
          pkgs.devenv
          pkgs.git
          config.nix.package
          "/run/current-system/sw"
        ];
        defaultText = literalExpression ''[ pkgs.devenv pkgs.git config.nix.package "/run/current-system/sw" ]'';
        example = literalExpression "[ pkgs.python312 ]";
        description = "Packages whose programs {option}`services.endoreg-provision.api.command` finds.";
      };
      environment = mkOption {
        type = attrsOf str;
        default = { };
        example = {
          DJANGO_PORT = "8118";
        };
        description = "Variables for the API. They end up in the Nix store, which every account can read: no secrets.";
      };
      repository = {
        url = mkOption {
          type = nullOr types.text;
          default = null;
          example = "git@git.example.org:clinic/endo-api.git";
          description = "Where a missing checkout is cloned from. An address without a password: use a key of the service account.";
        };
        branch = mkOption {
          type = types.branch;
          default = "main";
          example = "production";
          description = "The branch that is cloned and updated.";
        };
        updateOnBoot = mkOption {
          type = bool;
          default = false;
          example = true;
          description = "Whether an existing checkout is fast-forwarded when the API starts. What the host has changed stays.";
        };
      };
    };

    remoteAdmin = {
      enable = mkOption {
        type = bool;
        default = false;
        example = true;
        description = "Whether the databases may be administered from another host, with a password.";
      };
      address = mkOption {
        type = types.text;
        default = "172.16.255.106";
        example = "fd00::6a";
        description = "The one address that the administrator comes from.";
      };
      listenAddress = mkOption {
        type = nullOr types.text;
        default = null;
        example = "172.16.255.110";
        description = "This host's address in the VPN, on which PostgreSQL then listens as well.";
      };
    };

    rotation = {
      enable = mkOption {
        type = bool;
        default = false;
        example = true;
        description = "Whether the password is replaced regularly.";
      };
      startAt = calendar "the password is replaced";
    };

    backup = {
      enable = mkOption {
        type = bool;
        default = true;
        example = false;
        description = "Whether backups are made regularly, and one of them is restored beside the cluster to prove it.";
      };
      startAt = calendar "a backup is made";
      drillAt = calendar "a backup is proved";
      directory = mkOption {
        type = types.absolutePath;
        default = "/var/backups/endoreg";
        example = "/srv/backups/endoreg";
        description = "The folder of the backups; root's own. Not below /home, where the units cannot see it.";
      };
      restic = {
        repository = mkOption {
          type = nullOr types.text;
          default = null;
          example = "sftp:backup@backup.example.org:/srv/restic/gc-10";
          description = "Where restic keeps a copy of every backup; an address without a password.";
        };
        repositoryFile = mkOption {
          type = nullOr types.secretFile;
          default = null;
          example = "/run/secrets/restic-repository";
          description = "A file that holds that address, for one with a password.";
        };
        passwordFile = mkOption {
          type = nullOr types.secretFile;
          default = null;
          example = "/run/secrets/restic-password";
          description = "The file with that repository's password.";
        };
      };
    };

    alertCommand = mkOption {
      type = nullOr types.text;
      default = null;
      example = "/run/current-system/sw/bin/notify-clinic";
      description = "What runs when a unit, PostgreSQL among them, has failed for good or keeps failing, with the unit's name as its argument.";
    };

    metricsDirectory = mkOption {
      type = nullOr types.absolutePath;
      default = null;
      example = "/var/lib/node_exporter/textfile";
      description = "Where results are left for node_exporter's textfile collector.";
    };

    configurePostgresql = mkOption {
      type = bool;
      default = true;
      example = false;
      description = "Whether `services.postgresql` is set up here. Without it access rules, identity map and addresses are yours to set.";
    };

    extraAuthentication = mkOption {
      type = lines;
      default = "";
      example = "host keycloak keycloak 127.0.0.1/32 scram-sha-256";
      description = "Lines of {file}`pg_hba.conf` that go behind the declared rules. The commands know nothing of them.";
    };

    extraIdentMap = mkOption {
      type = lines;
      default = "";
      example = "superuser_map backup postgres";
      description = "Lines of {file}`pg_ident.conf` that go behind the declared ones. The commands know nothing of them.";
    };
  };
}
