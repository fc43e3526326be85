# local_settings.py of the API, as LuxNix writes it: what is secret in it is the path of a file.
{ lib }:
let
  # A value as Python writes it. A string of JSON is one of Python.
  python =
    value:
    if value == null then
      "None"
    else if builtins.isBool value then
      (if value then "True" else "False")
    else if builtins.isList value then
      "[${lib.concatMapStringsSep ", " python value}]"
    else if builtins.isAttrs value then
      "{${lib.concatStringsSep ", " (lib.mapAttrsToList (name: entry: "${python name}: ${python entry}") value)}}"
    else
      builtins.toJSON value;

  # A file's content, at the time the API reads its settings.
  contentOf = path: "open(${python (toString path)}, encoding=\"utf-8\").read().strip()";

  units = {
    K = 1024;
    M = 1048576;
    G = 1073741824;
  };
  parts = builtins.match "([0-9]+)([KMG]?)";
in
{
  isSize = size: parts size != null;

  # `api` and `database` as services.luxnix.endoregDbApiLocal has them.
  text =
    { api, database }:
    let
      size = parts api.maxRequestSize;
      # What is no size is an assertion's to say.
      bytes = if size == null then 0 else lib.toInt (builtins.head size) * (units.${lib.last size} or 1);
      settings = lib.mapAttrs (_: python) (
        {
          DEBUG = api.djangoDebug;
          ALLOWED_HOSTS = api.djangoAllowedHosts;
          TIME_ZONE = api.timeZone;
          LANGUAGE_CODE = api.language;
          DATA_UPLOAD_MAX_MEMORY_SIZE = bytes;
          LOGGING = {
            version = 1;
            disable_existing_loggers = false;
            handlers.console.class = "logging.StreamHandler";
            root = {
              handlers = [ "console" ];
              level = api.logLevel;
            };
          };
        }
        // lib.optionalAttrs (api.corsAllowedOrigins != [ ]) {
          CORS_ALLOWED_ORIGINS = api.corsAllowedOrigins;
          CORS_ALLOW_CREDENTIALS = true;
        }
        // api.extraSettings
      );
      databases = ''
        {
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": ${python database.name},
                "USER": ${python database.user},
                "PASSWORD": ${contentOf database.passwordFile},
                "HOST": ${python database.host},
                "PORT": ${python (toString database.port)},
                "OPTIONS": {"sslmode": ${python database.sslMode}},
            }
        }'';
    in
    ''
      # From the NixOS configuration, by endoreg-provision.
      DATABASES = ${databases}
      SECRET_KEY = ${contentOf api.djangoSecretKeyFile}
      ${lib.concatStringsSep "\n" (lib.mapAttrsToList (name: value: "${name} = ${value}") settings)}
    '';
}
