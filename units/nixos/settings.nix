# Every setting of the commands (KNOWN in lib/settings.ts; a test compares the two) but ENDOREG_ENV_FILE, which only
# the environment can say. `null` leaves a setting out of the settings file.
{
  config,
  lib,
}:
let
  types = import ./types.nix { inherit lib; };
  cfg = config.services.endoreg-provision;
  inherit (lib.types) enum nullOr;

  # A setting whose default is another option.
  following = option: value: {
    default = value;
    defaultText = lib.literalExpression "config.services.${option}";
  };
  ours = option: following "endoreg-provision.${option}";
in
{
  PGHOST = {
    type = types.socketFolderOrHost;
    default = "/run/postgresql";
    example = "172.16.255.21";
    description = "The administrative connection: a socket's folder, or a host.";
  };
  PGPORT = {
    type = types.port;
    example = 5433;
    description = "The administrative connection: the port, also of a socket.";
  }
  // following "postgresql.settings.port" config.services.postgresql.settings.port;
  PGUSER = {
    type = types.text;
    default = "postgres";
    example = "provisioner";
    description = "The administrative connection: a superuser.";
  };
  PGDATABASE = {
    type = types.text;
    default = "postgres";
    example = "template1";
    description = "The administrative connection: the database.";
  };
  ENDOREG_PG_OS_USER = {
    type = types.accountName;
    default = "postgres";
    example = "pgadmin";
    description = "The account whose effective uid root takes to connect to the socket, so that `peer` lets it in.";
  };
  ENDOREG_PG_DATA = {
    type = nullOr types.absolutePath;
    example = "/srv/postgresql/16";
    description = "The data folder of the cluster, for a look at a server that is down.";
  }
  // following "postgresql.dataDir" (
    if config.services.postgresql.enable then toString config.services.postgresql.dataDir else null
  );
  ENDOREG_DB_NAME = {
    type = types.databaseName;
    default = "endoregDbLocal";
    example = "endoreg";
    description = "The application's database. The manifest's own entries for it are renamed with it.";
  };
  ENDOREG_DB_USER = {
    type = types.roleName;
    default = "endoregDbLocal";
    example = "endoreg";
    description = "The application's role. The manifest's own entries for it are renamed with it.";
  };
  ENDOREG_DB_HOST = {
    type = types.host;
    default = "localhost";
    example = "127.0.0.1";
    description = "The host that the application connects to.";
  };
  ENDOREG_DB_PORT = {
    type = types.port;
    example = 6432;
    description = "The port that the application connects to.";
  }
  // ours "settings.PGPORT" cfg.settings.PGPORT;
  ENDOREG_VAULT_FILE = {
    type = types.secretFile;
    example = "/run/secrets/endoreg-password";
    description = "The vault file: the one source of the application's password.";
  }
  // ours "vault.file" cfg.vault.file;
  ENDOREG_VAULT_OWNER = {
    type = types.accountName;
    example = "root";
    description = "The account that the vault's file and folder belong to.";
  }
  // ours "vault.owner" cfg.vault.owner;
  ENDOREG_VAULT_GROUP = {
    type = types.accountName;
    example = "keys";
    description = "The group that may read the vault.";
  }
  // ours "vault.group" cfg.vault.group;
  ENDOREG_VAULT_MANAGED_BY = {
    type = nullOr types.text;
    example = "sops-nix";
    description = "The tool that fills the vault file, where that is another one.";
  }
  // ours "vault.managedBy" cfg.vault.managedBy;
  ENDOREG_SERVICE_USER = {
    type = types.accountName;
    example = "endo";
    description = "The application's account.";
  }
  // ours "api.user" cfg.api.user;
  ENDOREG_SERVICE_GROUP = {
    type = types.accountName;
    example = "endo";
    description = "The primary group of the application's account.";
  }
  // ours "api.group" cfg.api.group;
  ENDOREG_API_DIR = {
    type = types.absolutePath;
    example = "/srv/endo-api";
    description = "The application's checkout.";
  }
  // ours "api.directory" cfg.api.directory;
  ENDOREG_API_REPOSITORY = {
    type = nullOr types.text;
    example = "git@git.example.org:clinic/endo-api.git";
    description = "Where a missing checkout is cloned from; an address without a password.";
  }
  // ours "api.repository.url" cfg.api.repository.url;
  ENDOREG_API_BRANCH = {
    type = types.branch;
    example = "production";
    description = "The branch that is cloned and updated.";
  }
  // ours "api.repository.branch" cfg.api.repository.branch;
  ENDOREG_API_UPDATE = {
    type = enum [
      "never"
      "boot"
    ];
    default = if cfg.api.repository.updateOnBoot then "boot" else "never";
    defaultText = lib.literalExpression ''if config.services.endoreg-provision.api.repository.updateOnBoot then "boot" else "never"'';
    example = "boot";
    description = "Whether an existing checkout is fast-forwarded when the API starts.";
  };
  ENDOREG_API_COMMAND = {
    type = types.text;
    example = "/run/current-system/sw/bin/endo-api serve";
    description = "What `endo-api.service` runs in the checkout: words, as a shell splits them.";
  }
  // ours "api.command" cfg.api.command;
  ENDOREG_READY_TIMEOUT = {
    type = types.seconds;
    default = 60;
    example = 300;
    description = "How many seconds a run waits for PostgreSQL.";
  };
  ENDOREG_MANIFEST = {
    type = types.absolutePath;
    description = "The manifest file, made of {option}`services.endoreg-provision.manifest`.";
    example = lib.literalMD "a file in the Nix store, and nothing to be set";
    readOnly = true;
  };
  ENDOREG_STATE_DIR = {
    type = types.absolutePath;
    default = "/var/lib/endoreg-provision";
    example = "/persistent/var/lib/endoreg-provision";
    description = "Where hashes of the verifiers that were set are kept.";
  };
  ENDOREG_ON_FOREIGN_CHANGE = {
    type = enum [
      "mend"
      "refuse"
    ];
    default = "mend";
    example = "refuse";
    description = "Whether a password that somebody else has set in PostgreSQL is mended, or ends the run.";
  };
  ENDOREG_MANAGE_HBA = {
    type = nullOr (enum [
      "check"
      "write"
    ]);
    default = null;
    example = "check";
    description = "Whether the commands write access rules. On NixOS they compare only: the configuration has them written.";
  };
  ENDOREG_BACKUP_DIR = {
    type = types.absolutePath;
    example = "/srv/backups/endoreg";
    description = "The folder of the backups; root's own.";
  }
  // ours "backup.directory" cfg.backup.directory;
  ENDOREG_METRICS_DIR = {
    type = nullOr types.absolutePath;
    example = "/var/lib/node_exporter/textfile";
    description = "Where results are left for node_exporter's textfile collector.";
  }
  // ours "metricsDirectory" cfg.metricsDirectory;
  ENDOREG_ALERT_COMMAND = {
    type = nullOr types.text;
    example = "/run/current-system/sw/bin/notify-clinic";
    description = "What runs when a backup or a drill fails, with the unit's name as its argument.";
  }
  // ours "alertCommand" cfg.alertCommand;
  RESTIC_REPOSITORY = {
    type = nullOr types.text;
    example = "sftp:backup@backup.example.org:/srv/restic/gc-10";
    description = "Where restic keeps a copy of every backup; an address without a password.";
  }
  // ours "backup.restic.repository" cfg.backup.restic.repository;
  RESTIC_REPOSITORY_FILE = {
    type = nullOr types.secretFile;
    example = "/run/secrets/restic-repository";
    description = "A file that holds that address.";
  }
  // ours "backup.restic.repositoryFile" cfg.backup.restic.repositoryFile;
  RESTIC_PASSWORD_FILE = {
    type = nullOr types.secretFile;
    example = "/run/secrets/restic-password";
    description = "The file with that repository's password.";
  }
  // ours "backup.restic.passwordFile" cfg.backup.restic.passwordFile;
  RESTIC_CACERT = {
    type = nullOr types.text;
    default = null;
    example = "/etc/ssl/certs/clinic.pem";
    description = "The file with the certificates that restic trusts.";
  };
  AWS_SHARED_CREDENTIALS_FILE = {
    type = nullOr types.secretFile;
    default = null;
    example = "/run/secrets/s3";
    description = "The file with the keys of S3, for restic.";
  };
  AWS_PROFILE = {
    type = nullOr types.text;
    default = null;
    example = "backup";
    description = "Which of the keys in that file are taken.";
  };
  AWS_DEFAULT_REGION = {
    type = nullOr types.text;
    default = null;
    example = "eu-central-1";
    description = "The region of S3, for restic.";
  };
  RCLONE_CONFIG = {
    type = nullOr types.secretFile;
    default = null;
    example = "/run/secrets/rclone.conf";
    description = "The file with the storages of rclone, for restic.";
  };
  HTTP_PROXY = {
    type = nullOr types.text;
    default = null;
    example = "http://proxy.example.org:3128";
    description = "The way out of the clinic, for restic; an address without a password.";
  };
  HTTPS_PROXY = {
    type = nullOr types.text;
    default = null;
    example = "http://proxy.example.org:3128";
    description = "The way out of the clinic, for restic; an address without a password.";
  };
  NO_PROXY = {
    type = nullOr types.text;
    default = null;
    example = "localhost,172.16.255.0/24";
    description = "What restic reaches without it.";
  };
}
