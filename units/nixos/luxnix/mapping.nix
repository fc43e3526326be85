# What LuxNix's options come to in services.endoreg-provision and around it.
{
  config,
  lib,
  options,
  ...
}:
let
  ours = config.services.endoreg-provision;
  roles = config.roles.postgres.default;
  luxnix = config.services.luxnix.postgresql;
  app = config.services.luxnix.endoregDbApiLocal;
  gs = config.luxnix.generic-settings;
  admin = config.user.admin.name;
  # Weaker than what a host says about services.endoreg-provision itself.
  mapped = lib.mapAttrsRecursive (_: lib.mkDefault);

  application = "endoregDbLocal";
  # The API's own name for it counts, unless that is still the usual one.
  named = name: if name == application then roles.defaultDbName else name;
  database = app.database // {
    name = named app.database.name;
    user = named app.database.user;
  };

  protocol = if app.api.useHttps || app.api.httpProtocol == "https" then "https" else app.api.httpProtocol;
  address = "${protocol}://${app.api.hostname}:${toString app.api.port}";
  units = {
    K = 1024;
    M = 1048576;
    G = 1073741824;
  };
  size = builtins.match "([0-9]+)([KMG]?)" app.api.maxRequestSize;
  # What is no size is an assertion's to say.
  bytes = if size == null then 0 else lib.toInt (builtins.head size) * (units.${lib.last size} or 1);
  # LuxNix generates the file of its default; without it one is generated in the checkout.
  keyFile = toString app.api.djangoSecretKeyFile;
  provided = hasManagedSecrets || keyFile != "/etc/secrets/vault/django_secret_key";

  secrets = options.roles.managed-secrets.secrets.default or { };
  hasManagedSecrets = options.roles ? managed-secrets && config.roles.managed-secrets.enable;
  vaultFolder = dirOf (toString ours.settings.ENDOREG_VAULT_FILE);
  unused = lib.filterAttrs (name: value: app.service.${name} != value) {
    workers = 1;
    maxRequests = 1000;
    timeout = 30;
    keepAlive = 60;
  };
in
{
  config = lib.mkMerge [
    {
      services.luxnix.postgresql.enable = lib.mkIf roles.enable true;
      luxnix.generic-settings.postgres.enable = lib.mkIf app.enable true;
    }

    (lib.mkIf (luxnix.enable || app.enable) {
      services.endoreg-provision = {
        enable = true;
        configurePostgresql = lib.mkDefault luxnix.enable;
        names.roles = lib.mapAttrs (_: lib.mkDefault) {
          inherit admin;
          inherit (roles)
            replUser
            testUser
            devUser
            lxClientUser
            stagingUser
            ;
          prodUser = roles.productionUser;
        };
        names.accounts.admin = lib.mkDefault admin;
        inherit (luxnix) extraAuthentication extraIdentMap;
        settings = mapped {
          ENDOREG_DB_NAME = database.name;
          ENDOREG_DB_USER = database.user;
          ENDOREG_DB_HOST = database.host;
          ENDOREG_DB_PORT = if database.port == 5432 then ours.settings.PGPORT else database.port;
          ENDOREG_DB_SSLMODE = database.sslMode;
          ENDOREG_API_SECRET_KEY_FILE = if provided then keyFile else null;
          ENDOREG_API_ALLOWED_HOSTS = lib.concatStringsSep "," app.api.djangoAllowedHosts;
          ENDOREG_API_DEBUG = if app.api.djangoDebug then "yes" else "no";
          ENDOREG_API_LOG_LEVEL = app.api.logLevel;
          ENDOREG_API_SETTINGS = builtins.toJSON (
            {
              TIME_ZONE = app.api.timeZone;
              LANGUAGE_CODE = app.api.language;
              DATA_UPLOAD_MAX_MEMORY_SIZE = bytes;
            }
            // lib.optionalAttrs (app.api.corsAllowedOrigins != [ ]) {
              CORS_ALLOWED_ORIGINS = app.api.corsAllowedOrigins;
              CORS_ALLOW_CREDENTIALS = true;
            }
            // app.api.extraSettings
          );
        };
        vault = mapped {
          file = app.database.passwordFile;
          owner = admin;
          group = gs.sensitiveServiceGroupName;
        };
        remoteAdmin = mapped {
          inherit (gs.postgres.remote.admin) enable;
          address = gs.postgres.remote.admin.vpnIp;
        };
        backup.directory = lib.mkIf (luxnix.backupLocation != null) (lib.mkDefault luxnix.backupLocation);
        api = {
          enable = lib.mkDefault app.enable;
          user = lib.mkIf (options.user ? endoreg-service-user) (lib.mkDefault config.user.endoreg-service-user.name);
          group = lib.mkIf (options.user ? endoreg-service-user) (lib.mkDefault config.user.endoreg-service-user.group);
          repository = mapped { inherit (app.repository) url branch updateOnBoot; };
          environment = lib.mkMerge [
            (lib.mapAttrs (_: lib.mkDefault) {
              DATA_DIR = "${ours.settings.ENDOREG_API_DIR}/${app.api.dataDir}";
              CONF_TEMPLATE_DIR = "${ours.settings.ENDOREG_API_DIR}/${app.api.confTemplateDir}";
              DJANGO_MODULE = app.api.djangoModule;
              HTTP_PROTOCOL = protocol;
              DJANGO_HOST = app.api.hostname;
              DJANGO_PORT = toString app.api.port;
              BASE_URL = if app.api.baseUrl == null then address else app.api.baseUrl;
            })
            app.service.extraEnvironment
          ];
        };
      };
    })

    (lib.mkIf luxnix.enable {
      services.postgresql = {
        dataDir = lib.mkIf (roles.postgresqlDataDir != null) roles.postgresqlDataDir;
        settings = {
          port = lib.mkDefault roles.postgresqlPort;
          wal_level = lib.mkDefault "replica";
          max_wal_senders = lib.mkDefault 5;
          wal_keep_size = lib.mkDefault "512MB";
          # Stronger than the module's own, which is the same where nothing else is said.
          listen_addresses = lib.mkIf (luxnix.listen_addresses != "localhost,127.0.0.1") (
            lib.mkOverride 80 luxnix.listen_addresses
          );
        };
      };
      users.users.postgres.openssh.authorizedKeys.keys = roles.additionalPostgresAuthKeys;
    })

    (lib.mkIf app.enable {
      assertions = [
        {
          assertion = size != null;
          message = ''
            services.luxnix.endoregDbApiLocal.api.maxRequestSize is "${app.api.maxRequestSize}". Write a number of bytes, or
            one with K, M or G behind it.
          '';
        }
        {
          assertion = !(lib.hasPrefix builtins.storeDir (toString app.api.djangoSecretKeyFile) || builtins.isPath app.api.djangoSecretKeyFile);
          message = ''
            services.luxnix.endoregDbApiLocal.api.djangoSecretKeyFile is in the Nix store or would be copied there, for every
            account to read. Write the path of a file on the host as a string, such as "/etc/secrets/vault/django_secret_key".
          '';
        }
      ];
      warnings =
        lib.optional (unused != { }) ''
          services.luxnix.endoregDbApiLocal.service: ${lib.concatStringsSep ", " (lib.attrNames unused)} has no effect, and had none
          in LuxNix. Use service.extraEnvironment for what the API's server reads.
        ''
        ++ lib.optional (app.api.confDir != "conf") ''
          services.luxnix.endoregDbApiLocal.api.confDir is "${app.api.confDir}", but db_pwd and db.yaml are installed in conf.
        '';
    })

    # LuxNix has a module that generates secrets, of which ours is one: one writer owns a file. Its folder gets root for
    # an owner there, and the vault's owner after that (tmpfiles.d(5), z).
    (lib.optionalAttrs (options.roles ? managed-secrets) {
      roles.managed-secrets.secrets = lib.mkIf ours.enable (
        lib.mapAttrs (name: entry: lib.mapAttrs (_: lib.mkDefault) entry) (
          secrets
          // {
            maintenance_password = secrets.maintenance_password // {
              enable = false;
            };
          }
        )
      );
    })
    (lib.mkIf (ours.enable && hasManagedSecrets) {
      services.endoreg-provision.vault.createFolder = lib.mkDefault false;
      systemd.tmpfiles.rules = [
        "z ${vaultFolder} 0750 ${ours.settings.ENDOREG_VAULT_OWNER} ${ours.settings.ENDOREG_VAULT_GROUP}"
      ];
    })
  ];
}
