# services.endoreg-provision.manifest: what units/manifest.schema.json describes, with the tables of units/manifest.json.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  types = import ./types.nix { inherit lib; };
  cfg = config.services.endoreg-provision;
  inherit (lib) mkOption;
  inherit (lib.types)
    bool
    enum
    ints
    listOf
    nullOr
    str
    submodule
    ;
  shipped = lib.importJSON ../manifest.json;

  field =
    type: example: description:
    mkOption { inherit type example description; };
  optional =
    type: default: example: description:
    mkOption {
      inherit
        type
        default
        example
        description
        ;
    };
  list =
    what: options: example:
    mkOption {
      type = listOf (submodule {
        inherit options;
      });
      default = [ ];
      defaultText = lib.literalMD "the table in `units/manifest.json`";
      inherit example;
      description = "${what} What is set here is added behind the table that ships; `lib.mkForce` replaces it.";
    };

  # The application's role and database take their names from the settings, as in lib/manifest.ts.
  application = "endoregDbLocal";
  renameRole = name: if name == application then cfg.settings.ENDOREG_DB_USER else cfg.names.roles.${name} or name;
  renameDatabase =
    name: if name == application then cfg.settings.ENDOREG_DB_NAME else cfg.names.roles.${name} or name;
  # In a field of a rule a name that looks like something else is in quotes (declaredName in lib/server/access/render.ts).
  noName = ".*[\",].*|[/@+[:space:]].*|.*[[:space:]]|all|sameuser|samerole|samegroup|replication";
  inField =
    rename: name:
    let
      renamed = rename name;
    in
    if renamed == name || builtins.match noName renamed == null then
      renamed
    else
      ''"${lib.replaceStrings [ ''"'' ] [ ''""'' ] renamed}"'';
  renameAccount = name: cfg.names.accounts.${name} or name;

  # The commands take a key that is not there for one that is not set, and null for a value.
  given = lib.filterAttrs (_: value: value != null);
  json = builtins.toJSON (given (cfg.manifest // { hba = map given cfg.manifest.hba; }));
in
{
  # Other names for what is in the table that ships: for ./luxnix, which has options for them.
  options.services.endoreg-provision.names = lib.genAttrs [ "roles" "accounts" ] (
    _:
    mkOption {
      type = lib.types.attrsOf str;
      default = { };
      internal = true;
    }
  );

  options.services.endoreg-provision.manifest = {
    roles = list "The roles." {
      name = field types.roleName "grafana" "The role's name.";
      login = optional bool true false "Whether the role may log in.";
      replication = optional bool false true "Whether the role may replicate.";
      validUntil =
        optional (nullOr types.text) null "2030-01-31T23:59:59Z"
          "When the role's password stops to be valid, in ISO 8601; `null` for never.";
      connectionLimit =
        optional (ints.between (-1) 2147483647) (-1) 20
          "How many sessions the role may have at once; -1 for no limit.";
    } [ { name = "grafana"; } ];

    databases = list "The databases." {
      name = field types.databaseName "grafana" "The database's name.";
      owner = field types.databaseName "grafana" "The role that owns it.";
    } [
      {
        name = "grafana";
        owner = "grafana";
      }
    ];

    hba = list "Host-based authentication rules, in their order." {
      type = field (enum [
        "local"
        "host"
        "hostssl"
        "hostnossl"
      ]) "host" "The type of connection.";
      database =
        field types.text "grafana"
          "The database, `/` and a regular expression, or a keyword such as `all`; or several, with commas between them. A name that looks like something else is in double quotes; one that begins with a slash is not taken.";
      role =
        field types.text "grafana"
          "The role, `+` and a group, `/` and a regular expression, or `all`; or several, with commas between them.";
      address =
        optional (nullOr types.text) null "172.16.255.0/24"
          "The client's address: a range, a host, a keyword, or `loopback`, which is 127.0.0.1/32 and ::1/128.";
      method = field (lib.types.strMatching "[a-z0-9-]+") "scram-sha-256" "The method of authentication.";
      map = optional (nullOr types.databaseName) null "superuser_map" "The identity map, for `peer` and its like.";
    } [
      {
        type = "host";
        database = "grafana";
        role = "grafana";
        address = "loopback";
        method = "scram-sha-256";
      }
    ];

    ident = list "Lines of identity maps, in their order." {
      map = field types.databaseName "superuser_map" "The map's name.";
      account = field types.text "backup" "The account, or `/` and a regular expression.";
      role = field types.text "postgres" "The role that it may log in as.";
    } [
      {
        map = "superuser_map";
        account = "backup";
        role = "postgres";
      }
    ];

    remoteAdministrator = mkOption {
      type = nullOr str;
      default = if cfg.remoteAdmin.enable then cfg.remoteAdmin.address else null;
      defaultText = lib.literalExpression "config.services.endoreg-provision.remoteAdmin.address, where that is enabled";
      example = "172.16.255.106";
      description = "The address of the host from which the databases are administered; it gets three rules of its own.";
    };
  };

  config.services.endoreg-provision = {
    manifest = lib.mkIf cfg.enable (lib.mapAttrs (_: lib.mkBefore) {
      roles = map (role: role // { name = renameRole role.name; }) shipped.roles;
      databases = map (database: {
        name = renameDatabase database.name;
        owner = renameRole database.owner;
      }) shipped.databases;
      hba = map (
        rule:
        rule
        // {
          database = inField renameDatabase rule.database;
          role = inField renameRole rule.role;
        }
      ) shipped.hba;
      ident = map (
        mapping:
        mapping
        // {
          account = renameAccount mapping.account;
          role = renameRole mapping.role;
        }
      ) shipped.ident;
    });
    settings.ENDOREG_MANIFEST = "${pkgs.writeText "endoreg-manifest.json" json}";
  };
}
