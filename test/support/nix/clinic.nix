# A clinic's host for the VM tests, with a program in the API's place: it logs in as the API would, and stays.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  user = "endoreg-service-user";
  group = "endoreg-service";
  api = pkgs.writeShellScript "endo-api" ''
    PGPASSWORD=$(cat conf/db_pwd) psql --host=localhost --username=endoregDbLocal --dbname=endoregDbLocal \
      --no-psqlrc --tuples-only --command='SELECT current_user' || exit 1
    exec sleep infinity
  '';
in
{
  imports = [ ../../../units/nixos/module.nix ];

  users.users.admin.isNormalUser = true;

  services.endoreg-provision = {
    enable = true;
    api.command = "${api}";
    api.path = [
      config.services.postgresql.package
      pkgs.coreutils
    ];
  };

  # The checkout, without anything in it.
  systemd.tmpfiles.rules = lib.mkAfter [
    "d /var/${user}/endo-api 0750 ${user} ${group}"
  ];
}
