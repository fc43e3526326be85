# services.endoreg-provision under the names of LuxNix's options, so that a host file of a clinic stays as it is. Takes
# the place of three of LuxNix's folders below modules/nixos: roles/postgres-default, services/postgres and
# services/endoreg-db-api-local.
{
  imports = [
    ./module.nix
    ./luxnix/options.nix
    ./luxnix/defaults.nix
    ./luxnix/mapping.nix
  ];
}
