# Somebody sets another password in PostgreSQL: it is mended, or refused where the host says so.
{
  name = "endoreg-provision-foreign-password";

  nodes = {
    mends = {
      imports = [ ../support/nix/clinic.nix ];
    };
    refuses = {
      imports = [ ../support/nix/clinic.nix ];
      services.endoreg-provision.settings.ENDOREG_ON_FOREIGN_CHANGE = "refuse";
    };
  };

  testScript = ''
    VAULT = "/etc/secrets/vault/SCRT_local_password_maintenance_password"
    FOREIGN = "sudo -u postgres psql -c \"ALTER ROLE \\\"endoregDbLocal\\\" PASSWORD 'another one'\""

    def login(machine):
        return machine.execute(
            f"PGPASSWORD=\"$(cat {VAULT})\" psql -h ::1 -U endoregDbLocal -d endoregDbLocal -Atc 'SELECT 1'"
        )[0] == 0

    start_all()
    for machine in [mends, refuses]:
        machine.wait_for_unit("endo-api.service")
        machine.succeed(FOREIGN)
        assert not login(machine)

    with subtest("it is seen"):
        status, said = mends.execute("postgres-endoreg-setup --check 2>&1")
        assert status == 1 and "set password" in said, said

    with subtest("it is mended, and the API starts again"):
        mends.succeed("systemctl restart postgres-endoreg-setup.service")
        mends.wait_for_unit("endo-api.service")
        assert login(mends)

    with subtest("it is refused, and not tried again"):
        refuses.fail("systemctl restart postgres-endoreg-setup.service")
        assert refuses.succeed("systemctl show -P ExecMainStatus postgres-endoreg-setup").strip() == "78"
        refuses.succeed("systemctl is-failed postgres-endoreg-setup.service")
        assert not login(refuses)

    with subtest("an operator decides"):
        refuses.succeed("ENDOREG_ON_FOREIGN_CHANGE=mend sync-password")
        refuses.succeed("systemctl restart postgres-endoreg-setup.service")
        assert login(refuses)
  '';
}
