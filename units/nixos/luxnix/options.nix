# The options of LuxNix that have to do with PostgreSQL and the API, under the names that its host files use.
#
# Three folders of LuxNix are replaced whole: roles/postgres-default, services/postgres and services/endoreg-db-api-local.
# What its other modules declare as well (`shared`) has a type here and nothing else: then both may declare it, and the
# defaults come from ./defaults.nix, weaker than any default that LuxNix has.
{
  lib,
  ...
}:
let
  inherit (lib) mkOption;
  inherit (lib.types)
    anything
    attrsOf
    bool
    enum
    int
    listOf
    nullOr
    path
    port
    str
    submodule
    ;
  option =
    type: default: description:
    mkOption { inherit type default description; };
  shared = type: mkOption { inherit type; };

  group =
    description: options:
    mkOption {
      type = submodule { inherit options; };
      default = { };
      inherit description;
    };
in
{
  options.roles.postgres.default = {
    enable = option bool false "Whether this host has PostgreSQL, provisioned for the EndoReg API.";
    postgresqlEnable = option bool false "Without effect, as in LuxNix: `enable` decides.";
    postgresqlPort = option port 5432 "The port on which PostgreSQL listens.";
    postgresqlDataDir = option (nullOr str) null "PostgreSQL's data folder; `null` for the usual one.";
    defaultDbName = option str "endoregDbLocal" "The application's role, and its database.";
    replUser = option str "replUser" "The role for replication.";
    testUser = option str "testUser" "A role, and its database.";
    devUser = option str "devUser" "A role, and its database.";
    lxClientUser = option str "lxClientUser" "A role, and its database.";
    stagingUser = option str "stagingUser" "A role, and its database.";
    productionUser = option str "prodUser" "A role, and its database.";
    additionalPostgresAuthKeys = option (listOf str) [ ] "Keys with which the account postgres is logged in to.";
  };

  options.services.luxnix.postgresql = {
    enable = option bool false "Whether this host has PostgreSQL, provisioned for the EndoReg API.";
    extraAuthentication = option str "" "Lines of {file}`pg_hba.conf` behind the declared rules.";
    extraIdentMap = option str "" "Lines of {file}`pg_ident.conf` behind the declared ones.";
    listen_addresses = option str "localhost,127.0.0.1" "The addresses on which PostgreSQL listens.";
    backupLocation = option (nullOr str) null ''
      The folder of the backups; `null` for /var/backups/endoreg. LuxNix's default, in the administrator's home, is none:
      what is restored from it runs as PostgreSQL's superuser, so nobody but root may write there.
    '';
  };

  options.services.luxnix.endoregDbApiLocal = {
    enable = option bool false "Whether the API runs on this host.";
    debugMode = option bool false "Without effect: the commands say what they do as it is.";

    api = group "How the API is reached and set up." {
      hostname = option str "localhost" "Its host name.";
      port = option port 8118 "Its port.";
      useHttps = option bool false "Whether it is reached by HTTPS.";
      httpProtocol = option str "http" "`https` says the same.";
      baseUrl = option (nullOr str) null "Its address; `null` for one of protocol, host name and port.";
      sslCertificatePath = option (nullOr path) null "Its certificate; left to the web server in front.";
      sslKeyPath = option (nullOr path) null "The key of that certificate; left to the web server in front.";
      djangoAllowedHosts = option (listOf str) [
        "localhost"
        "127.0.0.1"
      ] "Django's `ALLOWED_HOSTS`.";
      djangoDebug = option bool false "Django's `DEBUG`.";
      djangoSecretKeyFile = option path "/etc/secrets/vault/django_secret_key" "The file with Django's `SECRET_KEY`.";
      djangoModule = option str "endo_api" "The Django module.";
      corsAllowedOrigins = option (listOf str) [ ] "Django's `CORS_ALLOWED_ORIGINS`.";
      logLevel = option str "INFO" "The level of what is logged.";
      maxRequestSize = option str "100M" "The largest request: bytes, or with K, M or G behind.";
      timeZone = option str "UTC" "Django's `TIME_ZONE`.";
      language = option str "en-us" "Django's `LANGUAGE_CODE`.";
      dataDir = option str "data" "The data folder in the checkout.";
      confDir = option str "conf" "The configuration folder in the checkout. The password's copy is in `conf` in any case.";
      confTemplateDir = option str "conf_template" "The folder of templates in the checkout.";
      extraSettings = option (attrsOf anything) { } "More settings of Django.";
    };

    database = group "The application's database." {
      host = option str "localhost" "The host that the application connects to.";
      port = option port 5432 "The port that it connects to.";
      name = option str "endoregDbLocal" "The database, where it is not {option}`roles.postgres.default.defaultDbName`.";
      user = option str "endoregDbLocal" "The role, where it is not {option}`roles.postgres.default.defaultDbName`.";
      passwordFile =
        option path "/etc/secrets/vault/SCRT_local_password_maintenance_password"
          "The vault file with its password.";
      sslMode = option str "prefer" "libpq's `sslmode`.";
    };

    service = group "How the API is run." {
      workers = option int 1 "Without effect, as in LuxNix.";
      maxRequests = option int 1000 "Without effect, as in LuxNix.";
      timeout = option int 30 "Without effect, as in LuxNix.";
      keepAlive = option int 60 "Without effect, as in LuxNix.";
      extraEnvironment = option (attrsOf str) { } "More variables for the API; no secrets.";
    };

    repository = group "Where the API comes from." {
      url = option str "https://github.com/wg-lux/endo-api" "The repository.";
      branch = option str "main" "The branch.";
      updateOnBoot = option bool true "Whether an existing checkout is updated when the API starts.";
    };
  };

  options.roles.endoreg-client = {
    enable = shared bool;
    dbApiLocal = shared bool;
    centralNodes = shared (listOf str);
    api = {
      hostname = shared str;
      port = shared port;
      useHttps = shared bool;
      sslCertificatePath = shared (nullOr path);
      sslKeyPath = shared (nullOr path);
      djangoAllowedHosts = shared (listOf str);
      djangoDebug = shared bool;
      djangoSecretKeyFile = shared path;
      corsAllowedOrigins = shared (listOf str);
      logLevel = shared (enum [
        "DEBUG"
        "INFO"
        "WARNING"
        "ERROR"
        "CRITICAL"
      ]);
      maxRequestSize = shared str;
      timeZone = shared str;
      language = shared str;
    };
    database = {
      host = shared str;
      port = shared port;
      name = shared str;
      user = shared str;
      passwordFile = shared path;
      sslMode = shared (enum [
        "disable"
        "allow"
        "prefer"
        "require"
        "verify-ca"
        "verify-full"
      ]);
    };
    service = {
      workers = shared int;
      maxRequests = shared int;
      timeout = shared int;
      keepAlive = shared int;
      extraEnvironment = shared (attrsOf str);
    };
    repository = {
      url = shared str;
      branch = shared str;
      updateOnBoot = shared bool;
    };
  };

  options.luxnix.generic-settings = {
    adminVpnIp = shared str;
    sensitiveServiceGroupName = shared str;
    postgres = {
      enable = shared bool;
      remote.admin = {
        enable = shared bool;
        vpnIp = shared str;
      };
      extraAuthentication = shared str;
      extraIdentMap = shared str;
    };
  };

  options.user.admin.name = shared str;
}
