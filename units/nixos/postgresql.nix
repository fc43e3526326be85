# PostgreSQL with the access rules of the manifest. Roles and databases are left to the setup: one writer owns them.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.endoreg-provision;
  render = import ./access-rules.nix { inherit lib; };
  # Stronger than nixpkgs' own definitions, which would let in more; weaker than mkForce.
  instead = lib.mkOverride 90;
  addresses = [
    "localhost"
    "127.0.0.1"
  ]
  ++ lib.optional (cfg.remoteAdmin.enable && cfg.remoteAdmin.listenAddress != null) cfg.remoteAdmin.listenAddress;
in
{
  config = lib.mkIf (cfg.enable && cfg.configurePostgresql) {
    services.postgresql = {
      enable = lib.mkDefault true;
      # Stronger than nixpkgs' default, which goes by the state version; weaker than what a host says.
      package = lib.mkOverride 900 pkgs.postgresql_16;
      authentication = instead (render.authentication cfg.manifest + cfg.extraAuthentication);
      identMap = instead (render.identMap cfg.manifest + cfg.extraIdentMap);
      settings = {
        listen_addresses = instead (lib.concatStringsSep "," addresses);
        password_encryption = "scram-sha-256";
      };
    };
  };
}
