# The thousandth boot is as the first, and so is the one after a power cut: the same password, and nothing is written.
{
  name = "endoreg-provision-reboot";

  nodes.clinic = {
    imports = [ ../support/nix/clinic.nix ];
  };

  testScript = ''
    VAULT = "/etc/secrets/vault/SCRT_local_password_maintenance_password"

    def state():
        clinic.wait_for_unit("endo-api.service")
        verifier = clinic.succeed(
            "sudo -u postgres psql -Atc \"SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'\""
        )
        return clinic.succeed(f"cat {VAULT}"), clinic.succeed(f"stat -c %Y {VAULT}"), verifier

    clinic.start()
    first = state()

    with subtest("a reboot"):
        clinic.shutdown()
        clinic.start()
        assert state() == first
        clinic.succeed("journalctl -b -u postgres-endoreg-setup | grep 'converged, nothing to change'")

    with subtest("a power cut"):
        clinic.succeed("sync")
        clinic.crash()
        clinic.start()
        assert state() == first

    with subtest("a restart of PostgreSQL leaves the API as it is"):
        started = clinic.succeed("systemctl show -P InvocationID endo-api")
        clinic.systemctl("restart postgresql")
        clinic.wait_for_unit("postgresql.service")
        assert clinic.succeed("systemctl show -P InvocationID endo-api") == started
        clinic.succeed("postgres-endoreg-setup --check")
  '';
}
