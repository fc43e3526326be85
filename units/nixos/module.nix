# services.endoreg-provision: PostgreSQL that is provisioned for the EndoReg API on every boot.
{
  imports = [
    ./options.nix
    ./manifest.nix
    ./settings-file.nix
    ./accounts.nix
    ./postgresql.nix
    ./units.nix
    ./assertions.nix
  ];
}
