# An empty host boots, and everything is in place before the API starts: what an operator types after a deployment.
{
  name = "endoreg-provision-first-boot";

  nodes.clinic = {
    imports = [ ../support/nix/clinic.nix ];
  };

  testScript = ''
    VAULT = "/etc/secrets/vault/SCRT_local_password_maintenance_password"
    COPY = "/var/endoreg-service-user/endo-api/conf/db_pwd"
    UNITS = ["postgresql", "postgres-endoreg-setup", "endo-api-boot", "endo-api"]

    clinic.start()
    clinic.wait_for_unit("endo-api.service")

    with subtest("every unit is up, and started once"):
        for unit in UNITS:
            clinic.succeed(f"systemctl is-active {unit}")
        for unit in UNITS[1:]:
            assert clinic.succeed(f"systemctl show -P NRestarts {unit}").strip() == "0", unit
        clinic.succeed("systemctl status postgresql postgres-endoreg-setup endo-api-boot")

    with subtest("role and database"):
        clinic.succeed("sudo -u postgres psql -c '\\du' | grep endoregDbLocal")
        clinic.succeed("sudo -u postgres psql -c '\\l' | grep endoregDbLocal")

    with subtest("the login, at every address"):
        for host in ["localhost", "127.0.0.1", "::1"]:
            who = clinic.succeed(
                f"PGPASSWORD=\"$(cat {VAULT})\" "
                f"psql -h {host} -U endoregDbLocal -d endoregDbLocal -Atc 'SELECT current_user'"
            )
            assert who.strip() == "endoregDbLocal", who

    with subtest("access rules"):
        clinic.succeed("sudo grep '::1' \"$(sudo -u postgres psql -Atc 'show hba_file')\"")
        clinic.fail("grep -w trust \"$(sudo -u postgres psql -Atc 'show hba_file')\"")
        assert clinic.succeed(
            "sudo -u postgres psql -Atc 'SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL'"
        ).strip() == "0"

    with subtest("files and accounts"):
        def stat(path):
            return clinic.succeed(f"stat -c '%a %U:%G' {path}").strip()

        assert stat(VAULT) == "640 admin:sensitiveServices", stat(VAULT)
        assert stat("/etc/secrets/vault") == "750 admin:sensitiveServices", stat("/etc/secrets/vault")
        assert stat(COPY) == "600 endoreg-service-user:endoreg-service", stat(COPY)
        assert clinic.succeed("id -u endoreg-service-user").strip() == "400"
        assert clinic.succeed("getent group endoreg-service").split(":")[2] == "101"
        assert "sensitiveServices" in clinic.succeed("id -Gn endoreg-service-user")
        clinic.succeed(f"sudo -u endoreg-service-user cat {COPY} | cmp - {VAULT}")

    with subtest("a second run changes nothing, and PostgreSQL's rules are the declared ones"):
        said = clinic.succeed("postgres-endoreg-setup --check 2>&1")
        assert "converged" in said, said
        assert "differ" not in said, said
        clinic.succeed("sync-password --check")

    with subtest("the password is in no log and in no store"):
        clinic.fail(f"journalctl --no-pager | grep -F \"$(cat {VAULT})\"")
        clinic.fail(f"grep -rF \"$(cat {VAULT})\" /etc/systemd /etc/endoreg /run/current-system/etc")

    with subtest("timers"):
        for timer in ["endoreg-backup.timer", "endoreg-restore-drill.timer"]:
            clinic.succeed(f"systemctl is-active {timer}")
        clinic.fail("systemctl is-active endoreg-rotate-password.timer")

    with subtest("the diagnosis finds no error"):
        said = clinic.execute("debug-postgres 2>&1")[1]
        assert "no errors" in said, said
  '';
}
