# A backup is made by its unit and proved by a drill; one that is damaged is found out, and somebody is told.
{ pkgs, ... }:
{
  name = "endoreg-provision-backup";

  nodes.clinic = {
    imports = [ ../support/nix/clinic.nix ];
    services.endoreg-provision = {
      alertCommand = "${pkgs.util-linux}/bin/logger -t told-of";
      backup.startAt = "daily";
    };
  };

  testScript = ''
    BACKUPS = "/var/backups/endoreg"

    clinic.start()
    clinic.wait_for_unit("endo-api.service")
    clinic.succeed(
        "sudo -u postgres psql -d endoregDbLocal -c 'CREATE TABLE patient AS SELECT generate_series(1, 1000) AS id'"
    )

    with subtest("a backup"):
        clinic.succeed("systemctl start endoreg-backup.service")
        names = clinic.succeed(f"ls {BACKUPS}").split()
        assert len(names) == 1, names
        assert clinic.succeed(f"stat -c '%a %U' {BACKUPS}").strip() == "700 root"

    with subtest("a drill, which leaves the cluster alone"):
        clinic.succeed("systemctl start endoreg-restore-drill.service")
        count = clinic.succeed("sudo -u postgres psql -d endoregDbLocal -Atc 'SELECT count(*) FROM patient'")
        assert count.strip() == "1000", count

    with subtest("a damaged backup is found out, and told"):
        clinic.succeed(
            f"for file in $(find {BACKUPS} -type f -size +1k); do"
            " dd if=/dev/zero of=$file bs=1 seek=512 count=256 conv=notrunc; done"
        )
        clinic.fail("systemctl start endoreg-restore-drill.service")
        clinic.wait_until_succeeds("journalctl -t told-of | grep endoreg-restore-drill.service")

    with subtest("the timers"):
        for timer in ["endoreg-backup.timer", "endoreg-restore-drill.timer"]:
            clinic.succeed(f"systemctl is-active {timer}")
  '';
}
