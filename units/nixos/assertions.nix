# What is wrong with a configuration, said when it is evaluated, with what to do about it. What only the commands can
# tell is said when it is built (settings-file.nix).
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.endoreg-provision;
  s = cfg.settings;
  m = cfg.manifest;
  postgresql = config.services.postgresql;
  render = import ./access-rules.nix { inherit lib; };
  us = "services.endoreg-provision";

  quote = value: builtins.toJSON (toString value);
  names = map (entry: entry.name);
  repeated = list: lib.unique (lib.filter (name: lib.count (other: other == name) list > 1) list);
  role = lib.findFirst (entry: entry.name == s.ENDOREG_DB_USER) null m.roles;
  # PostgreSQL's own superuser is there whatever is declared.
  owners = lib.subtractLists (names m.roles ++ names postgresql.ensureUsers ++ [ s.PGUSER "postgres" ]) (
    map (database: database.owner) m.databases
  );
  isIp = value: builtins.match "[0-9]+([.][0-9]+){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*" value != null;
  isLocal = rule: rule.type == "local";
  withPassword = value: value != null && builtins.match ".*://[^/@]*:[^/@]*@.*" value != null;

  check = assertion: message: { inherit assertion message; };
  none = what: list: message: check (list == [ ]) "${message}${what (lib.concatMapStringsSep ", " quote list)}";

  # A secret in the store can be read by every account of the host, and by whoever gets a copy of the store.
  secret =
    option: value:
    check (value == null || !(builtins.isPath value || lib.hasPrefix builtins.storeDir (toString value))) ''
      ${us}.${option} is ${quote value}, which is in the Nix store or would be copied there, for every account to read.
      Write the path of a file on the host as a string, such as "/run/secrets/name", and let sops-nix or agenix put the
      secret there.
    '';
  address =
    option: value: instead:
    check (!withPassword value) ''
      ${us}.${option} has a password in it, and would be in the Nix store for every account to read. ${instead}
    '';
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      (secret "vault.file" s.ENDOREG_VAULT_FILE)
      (secret "backup.restic.repositoryFile" s.RESTIC_REPOSITORY_FILE)
      (secret "backup.restic.passwordFile" s.RESTIC_PASSWORD_FILE)
      (secret "settings.AWS_SHARED_CREDENTIALS_FILE" s.AWS_SHARED_CREDENTIALS_FILE)
      (secret "settings.RCLONE_CONFIG" s.RCLONE_CONFIG)
      (address "settings.HTTP_PROXY" s.HTTP_PROXY "Let the proxy know this host by its address.")
      (address "settings.HTTPS_PROXY" s.HTTPS_PROXY "Let the proxy know this host by its address.")
      (address "api.repository.url" s.ENDOREG_API_REPOSITORY
        "Use a key or a credential helper of the service account."
      )
      (address "backup.restic.repository" s.RESTIC_REPOSITORY
        "Put the address into a file on the host, and name that with backup.restic.repositoryFile."
      )
      (check (s.RESTIC_REPOSITORY == null || s.RESTIC_REPOSITORY_FILE == null) ''
        ${us}.backup.restic has both repository and repositoryFile. Set one of them.
      '')
      (check ((s.RESTIC_REPOSITORY == null && s.RESTIC_REPOSITORY_FILE == null) || s.RESTIC_PASSWORD_FILE != null) ''
        ${us}.backup.restic has a repository and no password for it. Set passwordFile to a file on the host.
      '')
      (check (!cfg.backup.enable || !lib.any (folder: lib.hasPrefix folder "${s.ENDOREG_BACKUP_DIR}/") [ "/home/" "/root/" "/run/" "/tmp/" "/var/tmp/" ]) ''
        ${us}.backup.directory is ${quote s.ENDOREG_BACKUP_DIR}, which the units cannot see or which does not last: take a
        folder that only root can write, such as "/var/backups/endoreg" or "/srv/backups/endoreg".
      '')

      (check (lib.hasAttr s.ENDOREG_VAULT_OWNER config.users.users) ''
        ${us}.vault.owner is ${quote s.ENDOREG_VAULT_OWNER}, and this host has no such account. Declare it
        (users.users.${s.ENDOREG_VAULT_OWNER}.isNormalUser = true) or set the option to an account that it has: "root" will do.
      '')
      (check (s.ENDOREG_SERVICE_USER != "root" && s.ENDOREG_SERVICE_USER != s.ENDOREG_PG_OS_USER) ''
        ${us}.api.user is ${quote s.ENDOREG_SERVICE_USER}: the API must not run as root, nor as the account of PostgreSQL.
        Take an account of its own.
      '')

      (check (s.ENDOREG_DB_USER != s.PGUSER) ''
        ${us}.settings has ${quote s.PGUSER} for ENDOREG_DB_USER and PGUSER: the application must not be the
        administrative role. Give it a role of its own.
      '')
      (check (role != null && role.login) ''
        ${us}.manifest.roles has no ${quote s.ENDOREG_DB_USER} that may log in, and the application logs in as that
        (settings.ENDOREG_DB_USER). Add { name = ${quote s.ENDOREG_DB_USER}; }.
      '')
      (check (lib.elem s.ENDOREG_DB_NAME (names m.databases)) ''
        ${us}.manifest.databases has no ${quote s.ENDOREG_DB_NAME}, which is the application's (settings.ENDOREG_DB_NAME).
        Add { name = ${quote s.ENDOREG_DB_NAME}; owner = ${quote s.ENDOREG_DB_USER}; }.
      '')
      (none (list: "${list}. Take one of them out, or replace the whole list with lib.mkForce.")
        (repeated (names m.roles))
        "${us}.manifest.roles has a role twice: "
      )
      (none (list: "${list}. Take one of them out, or replace the whole list with lib.mkForce.")
        (repeated (names m.databases))
        "${us}.manifest.databases has a database twice: "
      )
      (none (list: "${list}. Add it to manifest.roles, or name another owner.") owners
        "${us}.manifest.databases has an owner that is no declared role: "
      )
      (none (list: "${list}. A local rule has no address, and every other has one (\"loopback\" is both loopbacks).")
        (map (rule: "${rule.type} ${rule.database} ${rule.role}") (
          lib.filter (rule: isLocal rule != (rule.address == null)) m.hba
        ))
        "${us}.manifest.hba has a rule whose address does not fit its type: "
      )
      (check (m.hba != [ ]) ''
        ${us}.manifest.hba is empty, so PostgreSQL would let nobody in, and not even start. Leave the rules that ship.
      '')
      (check (m.remoteAdministrator == null || isIp m.remoteAdministrator) ''
        ${us}.remoteAdmin.address is ${quote m.remoteAdministrator}, which is no IP address. Set the one address that the
        administrator comes from, without a range.
      '')

      (none (list: "${list}. Take it out of services.postgresql.ensureUsers: one writer owns a role.")
        (lib.intersectLists (names m.roles) (names postgresql.ensureUsers))
        "services.postgresql.ensureUsers and ${us}.manifest.roles both have: "
      )
      (none (list: "${list}. Take it out of services.postgresql.ensureDatabases: one writer owns a database.")
        (lib.intersectLists (names m.databases) postgresql.ensureDatabases)
        "services.postgresql.ensureDatabases and ${us}.manifest.databases both have: "
      )
      (check (!postgresql.enable || s.PGPORT == postgresql.settings.port) ''
        ${us}.settings.PGPORT is ${toString s.PGPORT}, and services.postgresql.settings.port ${toString postgresql.settings.port}.
        Set the latter; the former follows it.
      '')
      (check (!postgresql.enable || lib.versionAtLeast postgresql.package.version "15") ''
        services.postgresql.package is PostgreSQL ${postgresql.package.version}: the commands need 15 or newer. Upgrade the
        cluster first, as the NixOS manual describes (postgresql, upgrading).
      '')
      (check (postgresql.enable || !lib.hasPrefix "/" s.PGHOST) ''
        services.postgresql is not enabled, and ${us}.settings.PGHOST is ${quote s.PGHOST}, a socket of this host. Enable it
        (configurePostgresql does), or set PGHOST to the host that has PostgreSQL.
      '')
    ];

    warnings =
      lib.optional (cfg.remoteAdmin.enable && cfg.remoteAdmin.listenAddress == null && cfg.configurePostgresql) ''
        ${us}.remoteAdmin lets ${cfg.remoteAdmin.address} in, but PostgreSQL listens on the loopback addresses only. Set
        remoteAdmin.listenAddress to this host's address in the VPN.
      ''
      ++
        lib.optional
          (
            postgresql.enable && cfg.configurePostgresql
            && (
              !lib.hasPrefix (render.authentication m) postgresql.authentication
              || !lib.hasPrefix (render.identMap m) postgresql.identMap
            )
          )
          ''
            services.postgresql.authentication or identMap is set elsewhere, so that PostgreSQL's access rules are not those of
            ${us}.manifest. Declare the rules there (manifest.hba, manifest.ident), or put other lines into extraAuthentication
            and extraIdentMap.
          '';
  };
}
