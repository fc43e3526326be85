# A host like gc-10: PostgreSQL, the API, and everything between them.
{
  imports = [ ./hardware.nix ];

  networking.hostName = "gc-10";
  # Whom the vault belongs to.
  users.users.admin.isNormalUser = true;

  services.endoreg-provision = {
    enable = true;
    api.repository.url = "https://github.com/wg-lux/endo-api";
    remoteAdmin = {
      enable = true;
      listenAddress = "172.16.255.110";
    };
  };
}
