# `localhost` is ::1 first where there is IPv6, and 127.0.0.1 alone where there is none: the API is let in on both.
{
  name = "endoreg-provision-ipv6";

  nodes = {
    both = {
      imports = [ ../support/nix/clinic.nix ];
    };
    ipv4 = {
      imports = [ ../support/nix/clinic.nix ];
      networking.enableIPv6 = false;
    };
  };

  testScript = ''
    VAULT = "/etc/secrets/vault/SCRT_local_password_maintenance_password"

    def login(machine, host):
        return machine.execute(
            f"PGPASSWORD=\"$(cat {VAULT})\" psql -h {host} -U endoregDbLocal -d endoregDbLocal -Atc 'SELECT 1'"
        )[0] == 0

    start_all()
    for machine in [both, ipv4]:
        machine.wait_for_unit("endo-api.service")

    with subtest("with IPv6 both addresses are proved"):
        assert "::1" in both.succeed("getent ahosts localhost")
        assert login(both, "::1") and login(both, "127.0.0.1") and login(both, "localhost")
        both.succeed("journalctl -u postgres-endoreg-setup | grep 'logs in at ::1 and 127.0.0.1'")

    with subtest("without IPv6 the one that there is"):
        assert "::1" not in ipv4.succeed("getent ahosts localhost")
        assert login(ipv4, "127.0.0.1") and login(ipv4, "localhost")
        assert not login(ipv4, "::1")
        ipv4.succeed("journalctl -u postgres-endoreg-setup | grep 'logs in at 127.0.0.1'")
  '';
}
