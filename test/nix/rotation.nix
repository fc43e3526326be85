# The password is replaced, by hand and by the timer's unit: the new one counts everywhere, and the old one nowhere.
{
  name = "endoreg-provision-rotation";

  nodes.clinic = {
    imports = [ ../support/nix/clinic.nix ];
    services.endoreg-provision.rotation = {
      enable = true;
      startAt = "*-*-01 03:00:00";
    };
  };

  testScript = ''
    VAULT = "/etc/secrets/vault/SCRT_local_password_maintenance_password"
    COPY = "/var/endoreg-service-user/endo-api/conf/db_pwd"

    def login(password):
        return clinic.execute(
            f"PGPASSWORD='{password}' psql -h ::1 -U endoregDbLocal -d endoregDbLocal -Atc 'SELECT 1'"
        )[0] == 0

    def rotate(command):
        old = clinic.succeed(f"cat {VAULT}").strip()
        api = clinic.succeed("systemctl show -P InvocationID endo-api")
        clinic.succeed(command)
        clinic.wait_for_unit("endo-api.service")
        new = clinic.succeed(f"cat {VAULT}").strip()
        assert new != old
        assert login(new) and not login(old)
        clinic.succeed(f"cmp {VAULT} {COPY}")
        clinic.fail(f"test -e {VAULT}.next")
        clinic.wait_until_succeeds(f"test \"$(systemctl show -P InvocationID endo-api)\" != '{api.strip()}'")
        assert clinic.succeed(f"stat -c '%a %U:%G' {VAULT}").strip() == "640 admin:sensitiveServices"

    clinic.start()
    clinic.wait_for_unit("endo-api.service")

    with subtest("by hand"):
        rotate("sync-password --rotate")

    with subtest("by the unit that the timer starts"):
        clinic.succeed("systemctl is-active endoreg-rotate-password.timer")
        calendar = clinic.succeed("systemctl show -P TimersCalendar endoreg-rotate-password.timer")
        assert "*-*-01 03:00:00" in calendar and "monthly" not in calendar, calendar
        rotate("systemctl start endoreg-rotate-password.service")
  '';
}
