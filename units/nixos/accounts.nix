# The application's account and groups, and the folders that have to be there before the units start. The numbers are
# those of the hosts in the field, under the names that they have there.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.endoreg-provision;
  s = cfg.settings;
  user = s.ENDOREG_SERVICE_USER;
  group = s.ENDOREG_SERVICE_GROUP;
  home = if user == "endoreg-service-user" then "/var/endoreg-service-user" else "/var/lib/${user}";

  # tmpfiles.d(5) as Debian gets it, with the names and places that are set.
  shipped = lib.filter (line: line != "" && !lib.hasPrefix "#" line) (
    lib.splitString "\n" (builtins.readFile ../tmpfiles.d/endoreg-provision.conf)
  );
  renamed = {
    "/etc/secrets/vault" = dirOf (toString s.ENDOREG_VAULT_FILE);
    ":admin" = ":${s.ENDOREG_VAULT_OWNER}";
    ":sensitiveServices" = ":${s.ENDOREG_VAULT_GROUP}";
    "/var/endoreg-service-user" = home;
    "endoreg-service-user" = user;
    "endoreg-service" = group;
    "/var/backups/endoreg" = s.ENDOREG_BACKUP_DIR;
    "/var/lib/endoreg-provision" = s.ENDOREG_STATE_DIR;
  };
  words = line: lib.filter (word: word != "") (lib.splitString " " line);
  rule = line: lib.concatMapStringsSep " " (word: renamed.${word} or word) (words line);
  isOurs = line: cfg.vault.createFolder || !lib.hasInfix " /etc/secrets" line;
in
{
  config = lib.mkIf cfg.enable {
    # An account that the API must not have is left alone, so that an assertion can say so.
    users.users.${user} = lib.mkIf (user != "root" && user != s.ENDOREG_PG_OS_USER) {
      isSystemUser = true;
      uid = lib.mkIf (user == "endoreg-service-user") 400;
      description = lib.mkDefault "EndoReg API";
      inherit group;
      home = lib.mkDefault home;
      createHome = lib.mkDefault true;
      homeMode = lib.mkDefault "0750";
      extraGroups = [ s.ENDOREG_VAULT_GROUP ];
    };
    users.groups.${group}.gid = lib.mkIf (group == "endoreg-service") 101;
    users.groups.${s.ENDOREG_VAULT_GROUP} = { };
    # As sysusers.d(5) makes it on Debian.
    users.users.endoreg-drill = {
      isSystemUser = true;
      description = "EndoReg restore drill";
      group = "endoreg-drill";
    };
    users.groups.endoreg-drill = { };

    systemd.tmpfiles.rules = map rule (lib.filter isOurs shipped);
  };
}
