# The defaults of what LuxNix's own modules may declare as well: weaker than theirs, which are those of an option.
{
  config,
  lib,
  options,
  ...
}:
let
  weaker = lib.mkOverride 1900;
  weak = lib.mapAttrsRecursive (_: weaker);
  gs = config.luxnix.generic-settings;
  client = config.roles.endoreg-client;
in
{
  config = lib.mkMerge [
    {
      user = weak { admin.name = "admin"; };
      luxnix.generic-settings = weak {
        adminVpnIp = "172.16.255.106";
        sensitiveServiceGroupName = "sensitiveServices";
        postgres = {
          enable = false;
          remote.admin = {
            enable = false;
            vpnIp = gs.adminVpnIp;
          };
          extraAuthentication = "";
          extraIdentMap = "";
        };
      };
      roles.endoreg-client = weak {
        enable = false;
        dbApiLocal = false;
        centralNodes = [ ];
        api = {
          hostname = "localhost";
          port = 8118;
          useHttps = false;
          sslCertificatePath = null;
          sslKeyPath = null;
          djangoAllowedHosts = [
            "localhost"
            "127.0.0.1"
          ];
          djangoDebug = false;
          djangoSecretKeyFile = "/etc/secrets/vault/django_secret_key";
          corsAllowedOrigins = [ ];
          logLevel = "INFO";
          maxRequestSize = "100M";
          timeZone = "UTC";
          language = "en-us";
        };
        database = {
          host = "localhost";
          port = 5432;
          name = "endoregDbLocal";
          user = "endoregDbLocal";
          passwordFile = "/etc/secrets/vault/SCRT_local_password_maintenance_password";
          sslMode = "prefer";
        };
        service = {
          workers = 1;
          maxRequests = 1000;
          timeout = 30;
          keepAlive = 60;
        };
        repository = {
          url = "https://github.com/wg-lux/endo-api";
          branch = "main";
          updateOnBoot = true;
        };
      };
    }
    { roles.endoreg-client.service.extraEnvironment = weaker { }; }

    # What LuxNix's own modules do, where they are not there.
    (lib.mkIf (!(options.luxnix.generic-settings ? vpnIp)) {
      roles.postgres.default.enable = lib.mkDefault gs.postgres.enable;
      services.luxnix.postgresql.extraAuthentication = lib.mkDefault gs.postgres.extraAuthentication;
      services.luxnix.postgresql.extraIdentMap = lib.mkDefault gs.postgres.extraIdentMap;
    })
    (lib.mkIf (!(options.roles.endoreg-client ? endoAi)) (
      lib.mkIf client.enable {
        services.luxnix.endoregDbApiLocal = {
          enable = lib.mkDefault client.dbApiLocal;
          api = client.api // {
            extraSettings = {
              CENTRAL_NODES = client.centralNodes;
              IS_CENTRAL_NODE = false;
            };
          };
          inherit (client) database service repository;
        };
      }
    ))
  ];
}
