# The packaged units, and what NixOS has to add: who wants them, since it does not read [Install]; what their commands
# find on the PATH; and drop-ins where a setting is not the one that a unit is written for.
#
# Their order after PostgreSQL is in the units: postgresql.service everywhere, and postgresql-setup.service and
# postgresql.target, which NixOS has from 25.11.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.endoreg-provision;
  s = cfg.settings;

  # The programs of the very server, where there is one.
  path = lib.optional config.services.postgresql.enable (
    config.services.postgresql.finalPackage or config.services.postgresql.package
  );
  restartTriggers = [ config.environment.etc."endoreg/provision.env".source ];

  # What `value` makes of a unit that is written for `shipped`.
  unless = shipped: value: made: if value == null || toString value == shipped then [ ] else made value;
  writable = value: [ "-${toString value}" ];
  instead = value: [
    ""
    (toString value)
  ];
  # A value of systemd's that replaces the unit's, if any.
  option = name: value: lib.mkIf (value != [ ]) { ${name} = value; };

  vaultFile = "/etc/secrets/vault/SCRT_local_password_maintenance_password";
  vault = unless vaultFile s.ENDOREG_VAULT_FILE (file: writable (dirOf (toString file)));
  state = unless "/var/lib/endoreg-provision" s.ENDOREG_STATE_DIR writable;
  # The folder that the checkout is cloned into.
  checkout = unless "/var/endoreg-service-user/endo-api" s.ENDOREG_API_DIR (folder: writable (dirOf folder));
  backups = unless "/var/backups/endoreg" s.ENDOREG_BACKUP_DIR writable;
  metrics = unless "/var/lib/prometheus/node-exporter" s.ENDOREG_METRICS_DIR writable;

  vaultGroup = option "SupplementaryGroups" (unless "sensitiveServices" s.ENDOREG_VAULT_GROUP instead);
  # systemd reads a credential as root, so only where nobody else could put a link: what sops-nix and agenix leave in /run, often
  # for root alone. Every other file is read by the commands themselves.
  isRoots = file: lib.hasPrefix "/run/" (toString file) && !lib.hasPrefix "/run/user/" (toString file);
  credential = name: file: lib.mkIf (file != null && isRoots file) { LoadCredential = "${name}:${toString file}"; };
  vaultCredential = credential "db_pwd" (if s.ENDOREG_VAULT_MANAGED_BY == null then null else s.ENDOREG_VAULT_FILE);
  # Where the file is missing an empty line takes its place, and the command says so.
  resticCredential = lib.mkMerge [
    (credential "restic_password" s.RESTIC_PASSWORD_FILE)
    (lib.mkIf (s.RESTIC_PASSWORD_FILE != null && isRoots s.RESTIC_PASSWORD_FILE) { SetCredential = "restic_password:\\n"; })
  ];
  # The units of root see of /run what they are told to (TemporaryFileSystem=). Another socket, and files for restic:
  fromRun = files: option "BindReadOnlyPaths" (map (file: "-${toString file}") (lib.filter (file: file != null && isRoots file) files));
  socket = if s.PGHOST == "/run/postgresql" then null else s.PGHOST;
  resticFiles = [
    s.RESTIC_REPOSITORY_FILE
    s.RESTIC_CACERT
    s.AWS_SHARED_CREDENTIALS_FILE
    s.RCLONE_CONFIG
  ];
  account = lib.mkMerge [
    (lib.mkIf (s.ENDOREG_SERVICE_USER != "endoreg-service-user") { User = s.ENDOREG_SERVICE_USER; })
    (lib.mkIf (s.ENDOREG_SERVICE_GROUP != "endoreg-service") { Group = s.ENDOREG_SERVICE_GROUP; })
  ];

  # A unit that is there all the time, and one that a timer starts: what is at work is not ended by a switch to
  # another configuration.
  lasting = serviceConfig: {
    inherit path restartTriggers;
    wantedBy = [ "multi-user.target" ];
    serviceConfig = lib.mkMerge serviceConfig;
  };
  timed = serviceConfig: {
    inherit path;
    restartIfChanged = false;
    serviceConfig = lib.mkMerge serviceConfig;
  };
  timer = startAt: {
    wantedBy = [ "timers.target" ];
    timerConfig = lib.mkIf (startAt != null) { OnCalendar = instead startAt; };
  };
in
{
  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        environment.systemPackages = [ cfg.package ];
        systemd.packages = [ cfg.package ];
        systemd.services.postgres-endoreg-setup = lib.mkMerge [
          (lasting [
            (option "ReadWritePaths" (vault ++ state ++ metrics))
            (fromRun [
              socket
              s.ENDOREG_VAULT_FILE
            ])
            vaultGroup
          ])
          # nsenter, for ExecStartPost=.
          { path = [ pkgs.util-linux ]; }
        ];
        # What tells somebody is the operator's own.
        systemd.services."endoreg-alert@".path = [ "/run/current-system/sw" ];
      }
      (lib.mkIf cfg.api.enable {
        systemd.services.endo-api-boot = lasting [
          account
          vaultGroup
          vaultCredential
          (option "ReadWritePaths" (checkout ++ metrics))
        ];
        systemd.services.endoreg-metrics = timed [ (option "ReadWritePaths" metrics) ];
        systemd.services.endo-api = {
          inherit (cfg.api) path;
          environment = lib.mkMerge [
            (option "LX_MAINTENANCE_PASSWORD_FILE" (unless vaultFile s.ENDOREG_VAULT_FILE (file: lib.mkDefault (toString file))))
            cfg.api.environment
          ];
          wantedBy = [ "multi-user.target" ];
          serviceConfig = account;
        };
      })
      (lib.mkIf cfg.rotation.enable {
        systemd.services.endoreg-rotate-password = timed [
          (option "ReadWritePaths" (vault ++ state ++ checkout ++ metrics))
          vaultGroup
        ];
        systemd.timers.endoreg-rotate-password = timer cfg.rotation.startAt;
      })
      (lib.mkIf cfg.backup.enable {
        systemd.services.endoreg-backup = timed [
          (option "ReadWritePaths" (backups ++ state ++ metrics))
          (fromRun ([ socket ] ++ resticFiles))
          resticCredential
        ];
        systemd.services.endoreg-restore-drill = timed [
          (option "ReadWritePaths" (backups ++ state ++ metrics))
          (fromRun resticFiles)
          resticCredential
        ];
        systemd.timers.endoreg-backup = timer cfg.backup.startAt;
        systemd.timers.endoreg-restore-drill = timer cfg.backup.drillAt;
      })
    ]
  );
}
