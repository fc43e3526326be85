# A GPU client's host file as LuxNix has them: its own options for everything, and nothing of endoreg-provision's.
{
  lib,
  modulesPath,
  pkgs,
  ...
}:
{
  imports = [ (modulesPath + "/installer/scan/not-detected.nix") ];

  user = {
    admin.name = "admin";
    ansible.enable = true;
    settings.mutable = false;
  };

  roles = {
    common.enable = true;
    custom-packages.enable = true;
    endoreg-client.centralNodes = [ "s-04" ];
    endoreg-client.dbApiLocal = true;
    endoreg-client.enable = true;
    endoreg-client.repository.branch = "main";
    postgres.default.enable = true;
    ssh-access.dev-01.enable = true;
  };

  luxnix = {
    boot-decryption-stick.enable = true;
    generic-settings.enable = true;
    generic-settings.adminVpnIp = "172.16.255.106";
    generic-settings.language = "english";
    generic-settings.linux.kernelPackages = pkgs.linuxPackages_6_12;
    generic-settings.configurationPath = lib.mkForce "/home/admin/luxnix";
    generic-settings.network.hosts.gc-10.ip-vpn = "172.16.255.110";
    generic-settings.postgres.enable = true;
    generic-settings.sensitiveServiceGroupName = "sensitiveServices";
    generic-settings.systemStateVersion = "23.11";
    generic-settings.vpnSubnet = "172.16.255.0/24";
    nvidia-prime.enable = true;
    vault.dir = "/etc/secrets/vault";
    vault.enable = true;
  };
}
