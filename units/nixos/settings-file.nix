# /etc/endoreg/provision.env, and the check of what it says.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.endoreg-provision;
  envFile = import ./env-file.nix { inherit lib; };
  given = envFile.given cfg.settings;
  unchecked = pkgs.writeText "provision.env" (envFile.text given);

  # The same binary that runs on the host: what it would refuse there is not built. The result is of no other interest.
  checked = pkgs.runCommand "endoreg-provision.env" { ENDOREG_METRICS_DIR = ""; } ''
    ${cfg.package}/bin/postgres-endoreg-setup --check-manifest --env-file ${unchecked}
    cp ${unchecked} "$out"
  '';
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."endoreg/provision.env".source =
      if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then checked else unchecked;

    assertions = lib.mapAttrsToList (name: value: {
      assertion = envFile.isWritable value;
      message = ''
        services.endoreg-provision.settings.${name} has a backslash, or both kinds of quotes, and the settings file has
        no way to say that to the commands and to systemd alike. Take another value.
      '';
    }) given;
  };
}
