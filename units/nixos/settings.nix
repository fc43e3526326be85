# Every setting of the commands: ../settings.json has them as the table in lib/frame/settings.ts says, and here is what
# is different on NixOS. `null` leaves a setting out of the settings file.
{
  config,
  lib,
}:
let
  types = import ./types.nix { inherit lib; };
  cfg = config.services.endoreg-provision;

  # What an option is in general: a setting without a default is optional.
  declared =
    row:
    let
      type = if lib.isList row.kind then lib.types.enum row.kind else types.${row.kind};
    in
    {
      type = if row ? default then type else lib.types.nullOr type;
      default = row.default or null;
      inherit (row) example description;
    };

  # A setting whose default is another option.
  following = option: value: {
    default = value;
    defaultText = lib.literalExpression "config.services.${option}";
  };
  ours = option: following "endoreg-provision.${option}";

  different = {
    PGPORT = following "postgresql.settings.port" config.services.postgresql.settings.port;
    ENDOREG_PG_DATA = following "postgresql.dataDir" (
      if config.services.postgresql.enable then toString config.services.postgresql.dataDir else null
    );
    ENDOREG_DB_PORT = {
      type = types.port;
    }
    // ours "settings.PGPORT" cfg.settings.PGPORT;
    ENDOREG_VAULT_FILE = ours "vault.file" cfg.vault.file;
    ENDOREG_VAULT_OWNER = ours "vault.owner" cfg.vault.owner;
    ENDOREG_VAULT_GROUP = ours "vault.group" cfg.vault.group;
    ENDOREG_VAULT_MANAGED_BY = ours "vault.managedBy" cfg.vault.managedBy;
    ENDOREG_SERVICE_USER = ours "api.user" cfg.api.user;
    ENDOREG_SERVICE_GROUP = ours "api.group" cfg.api.group;
    ENDOREG_API_DIR = ours "api.directory" cfg.api.directory;
    ENDOREG_API_REPOSITORY = ours "api.repository.url" cfg.api.repository.url;
    ENDOREG_API_BRANCH = ours "api.repository.branch" cfg.api.repository.branch;
    ENDOREG_API_UPDATE = {
      default = if cfg.api.repository.updateOnBoot then "boot" else "never";
      defaultText = lib.literalExpression ''if config.services.endoreg-provision.api.repository.updateOnBoot then "boot" else "never"'';
    };
    ENDOREG_API_COMMAND = {
      type = types.text;
    }
    // ours "api.command" cfg.api.command;
    ENDOREG_BACKUP_DIR = ours "backup.directory" cfg.backup.directory;
    ENDOREG_METRICS_DIR = ours "metricsDirectory" cfg.metricsDirectory;
    ENDOREG_ALERT_COMMAND = ours "alertCommand" cfg.alertCommand;
    RESTIC_REPOSITORY = ours "backup.restic.repository" cfg.backup.restic.repository;
    RESTIC_REPOSITORY_FILE = ours "backup.restic.repositoryFile" cfg.backup.restic.repositoryFile;
    RESTIC_PASSWORD_FILE = ours "backup.restic.passwordFile" cfg.backup.restic.passwordFile;
    # Never a path in the Nix store, which every account can read.
    AWS_SHARED_CREDENTIALS_FILE.type = lib.types.nullOr types.secretFile;
    RCLONE_CONFIG.type = lib.types.nullOr types.secretFile;
  };
in
lib.mapAttrs (name: option: option // different.${name} or { }) (
  lib.listToAttrs (map (row: lib.nameValuePair row.name (declared row)) (lib.importJSON ../settings.json))
)
// {
  ENDOREG_MANIFEST = {
    type = types.absolutePath;
    description = "The manifest file, made of {option}`services.endoreg-provision.manifest`.";
    example = lib.literalMD "a file in the Nix store, and nothing to be set";
    readOnly = true;
  };
}
