import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { type Host, Nix, withoutLib } from '../support/nix.ts'

const units = (path: string): URL => new URL(`../../units/${path}`, import.meta.url)
const read = (path: string): string => readFileSync(units(path), 'utf8')
const UNITS = readdirSync(units('.')).filter(name => /\.(?:service|timer)$/.test(name))

/** What the module has systemd start, by the unit's name. */
const wantedBy = ({ services, timers }: Host): Record<string, readonly string[]> =>
  Object.fromEntries(
    [
      ...Object.entries(services).map(([name, unit]) => [`${name}.service`, unit] as const),
      ...Object.entries(timers).map(([name, unit]) => [`${name}.timer`, unit] as const),
    ]
      .filter(([name, unit]) => UNITS.includes(name) && unit.wantedBy.length > 0)
      .map(([name, unit]) => [name, unit.wantedBy]),
  )

/** What a unit's own [Install] asks for. */
const installed = (unit: string): string[] => /^WantedBy=(.*)$/m.exec(read(unit))?.[1]?.split(' ') ?? []

t.test('the module', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const host = (options: string, rest = '', release?: string): Host =>
    nix.host(
      `{ lib, pkgs, ... }: { services.endoreg-provision = { enable = true; } // ${options}; ${rest} }`,
      release === undefined ? {} : { release },
    )
  /** What the module adds to a unit of systemd's own settings. */
  const added = ({ services }: Host, name: string) => services[name]?.serviceConfig

  t.test('without enable it does nothing', async t => {
    const { services, users, tmpfiles, packages, etc, postgresql } = nix.host('{ }')
    t.strictSame({ services, tmpfiles, packages, etc }, { services: {}, tmpfiles: [], packages: [], etc: {} })
    t.strictSame(Object.keys(users), ['admin'])
    t.equal(postgresql.enable, false)
  })

  t.test('a host that says nothing more', async t => {
    const bare = host('{ }')
    t.strictSame(bare.failed, [])
    t.strictSame(bare.warnings, [])
    t.match(bare.packages[0], /^endoreg-provision-/)
    t.strictSame(bare.commands, bare.packages)
    t.match(bare.users['endoreg-service-user'], {
      uid: 400,
      isSystemUser: true,
      group: /^endoreg-service$/,
      extraGroups: ['sensitiveServices'],
      home: /^\/var\/endoreg-service-user$/,
      homeMode: /^0750$/,
    })
    t.equal(bare.groups['endoreg-service']?.gid, 101)
    t.ok(bare.groups['sensitiveServices'])
    t.match(bare.etc, { 'endoreg/provision.env': /-endoreg-provision\.env$/ })
    t.match(bare.postgresql, {
      enable: true,
      package: /^postgresql-16$/,
      dataDir: /^\/var\/lib\/postgresql\/16$/,
      settings: {
        listen_addresses: /^localhost,127\.0\.0\.1$/,
        password_encryption: /^scram-sha-256$/,
        port: 5432,
      },
    })
    t.strictSame([bare.postgresql.ensureDatabases, bare.postgresql.ensureUsers], [[], []])
    t.notMatch(bare.postgresql.authentication, /trust|md5/)
  })

  t.test('units are as they are packaged, and wanted as their preset says', async t => {
    const bare = host('{ }')
    const preset = [...read('system-preset/80-endoreg-provision.preset').matchAll(/^enable (.*)$/gm)].map(
      ([, unit]) => unit ?? '',
    )
    t.strictSame(wantedBy(bare), Object.fromEntries(preset.map(unit => [unit, installed(unit)])))
    for (const [name, unit] of Object.entries(bare.services)) {
      if (UNITS.includes(`${name}.service`)) t.strictSame(unit.serviceConfig, {}, name)
    }
    for (const [name, unit] of Object.entries(bare.timers)) t.strictSame(unit.timerConfig, {}, name)
  })

  t.test('with everything enabled every unit that can be is wanted', async t => {
    const all = UNITS.filter(unit => installed(unit).length > 0)
    const wanted = wantedBy(host('{ rotation.enable = true; }'))
    t.strictSame(wanted, Object.fromEntries(all.map(unit => [unit, installed(unit)])))
  })

  t.test('the folders are those of tmpfiles.d', async t => {
    const lines = read('tmpfiles.d/endoreg-provision.conf')
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => line.split(/ +/).join(' '))
    t.strictSame(host('{ }').tmpfiles, lines)
  })

  t.test('the setup runs again where its settings are others; what is at work is not ended', async t => {
    const { services, etc } = host('{ rotation.enable = true; }')
    const file = etc['endoreg/provision.env']
    t.strictSame(services['postgres-endoreg-setup']?.restartTriggers, [file])
    t.strictSame(services['endo-api-boot']?.restartTriggers, [file])
    for (const job of [
      'endoreg-rotate-password',
      'endoreg-backup',
      'endoreg-restore-drill',
      'endoreg-metrics',
    ])
      t.equal(services[job]?.restartIfChanged, false, job)
    const other = host('{ settings.ENDOREG_READY_TIMEOUT = 300; }')
    t.not(other.etc['endoreg/provision.env'], file)
  })

  t.test("the commands find the server's own programs", async t => {
    const { services } = host('{ }')
    for (const name of ['postgres-endoreg-setup', 'endoreg-backup', 'endoreg-restore-drill'])
      t.ok(
        services[name]?.path.some(path => /-postgresql-16$/.test(path)),
        name,
      )
  })

  t.test('PostgreSQL comes up in its order, on old and new releases', async t => {
    const unit = read('postgres-endoreg-setup.service')
    const after = [...unit.matchAll(/^After=(.*)$/gm)].flatMap(([, names]) => names?.split(' ') ?? [])
    for (const release of ['25.05', '25.11', '26.05']) {
      const { failed, services, targets } = host('{ }', '', release)
      t.strictSame(failed, [])
      const there = [
        ...Object.keys(services).map(name => `${name}.service`),
        ...Object.keys(targets).map(name => `${name}.target`),
      ].filter(name => name.startsWith('postgresql'))
      t.strictSame(there.length, release === '25.05' ? 1 : 3)
      for (const name of there) t.ok(after.includes(name), `${release}: after ${name}`)
    }
  })

  t.test('a host without the API', async t => {
    const wanted = wantedBy(host('{ api.enable = false; }'))
    t.ok(wanted['postgres-endoreg-setup.service'])
    t.notOk(wanted['endo-api-boot.service'] ?? wanted['endo-api.service'])
  })

  t.test('the API gets its variables and programs', async t => {
    const { services } = host('{ api.environment.DJANGO_PORT = "8118"; api.path = [ "/opt/api" ]; }')
    t.strictSame(services['endo-api']?.environment, { DJANGO_PORT: '8118' })
    t.strictSame(services['endo-api']?.path, ['/opt/api'])
  })

  t.test('other accounts and places are drop-ins', async t => {
    const other = host(`{
      api.user = "endo"; api.group = "endogroup"; api.directory = "/srv/endo/api";
      vault.file = "/srv/vault/password"; vault.group = "keys";
      settings.ENDOREG_STATE_DIR = "/srv/state"; backup.directory = "/srv/backups"; metricsDirectory = "/srv/metrics";
      rotation.enable = true;
    }`)
    t.strictSame(other.failed, [])
    t.match(other.users['endo'], {
      uid: null,
      group: /^endogroup$/,
      extraGroups: ['keys'],
      home: /^\/var\/lib\/endo$/,
    })
    t.strictSame(other.groups['endogroup']?.gid, null)
    t.strictSame(added(other, 'endo-api'), { User: 'endo', Group: 'endogroup' })
    t.strictSame(other.services['endo-api']?.environment, {
      LX_MAINTENANCE_PASSWORD_FILE: '/srv/vault/password',
    })
    t.strictSame(added(other, 'endo-api-boot'), {
      User: 'endo',
      Group: 'endogroup',
      ReadWritePaths: ['-/srv/endo', '-/srv/metrics'],
      SupplementaryGroups: ['', 'keys'],
    })
    t.strictSame(added(other, 'postgres-endoreg-setup'), {
      ReadWritePaths: ['-/srv/vault', '-/srv/state', '-/srv/metrics'],
      SupplementaryGroups: ['', 'keys'],
    })
    t.strictSame(added(other, 'endoreg-rotate-password'), {
      ReadWritePaths: ['-/srv/vault', '-/srv/state', '-/srv/endo', '-/srv/metrics'],
      SupplementaryGroups: ['', 'keys'],
    })
    t.strictSame(added(other, 'endoreg-backup'), {
      ReadWritePaths: ['-/srv/backups', '-/srv/state', '-/srv/metrics'],
    })
    t.strictSame(added(other, 'endoreg-metrics'), { ReadWritePaths: ['-/srv/metrics'] })
    t.strictSame(
      other.tmpfiles.filter(line => !/ \/(?:run|etc)/.test(line)),
      [
        'd /srv/vault :0750 :admin :keys',
        'd /var/lib/endo 0750 endo endogroup',
        'd /srv/backups 0700 root root',
      ],
    )
  })

  t.test("metrics in node_exporter's usual place need no drop-in", async t => {
    const metrics = host('{ metricsDirectory = "/var/lib/prometheus/node-exporter"; }')
    t.strictSame(added(metrics, 'endoreg-backup'), {})
    t.equal(metrics.provision.settings['ENDOREG_METRICS_DIR'], '/var/lib/prometheus/node-exporter')
  })

  t.test('a vault that sops-nix fills', async t => {
    const sops = host('{ vault = { file = "/run/secrets/endoreg"; managedBy = "sops-nix"; }; }')
    t.strictSame(sops.failed, [])
    t.strictSame(
      sops.tmpfiles.filter(line => line.includes('secrets')),
      [],
    )
    t.strictSame(added(sops, 'endo-api-boot'), { LoadCredential: 'db_pwd:/run/secrets/endoreg' })
    const elsewhere = host('{ vault = { file = "/home/admin/secrets/endoreg"; managedBy = "sops-nix"; }; }')
    t.notOk(added(elsewhere, 'endo-api-boot')?.['LoadCredential'], 'systemd follows no path of an account')
    t.strictSame(added(sops, 'postgres-endoreg-setup')?.['BindReadOnlyPaths'], ['-/run/secrets/endoreg'])
    t.equal(sops.provision.settings['ENDOREG_VAULT_MANAGED_BY'], 'sops-nix')
  })

  t.test('what root needs of /run', async t => {
    const run = host(`{
      settings.PGHOST = "/run/other"; settings.RCLONE_CONFIG = "/run/secrets/rclone"; settings.RESTIC_CACERT = "/etc/ca.pem";
      backup.restic.repository = "rclone:x:y";
    }`)
    const bound = (unit: string): unknown => added(run, unit)?.['BindReadOnlyPaths']
    t.strictSame(bound('postgres-endoreg-setup'), ['-/run/other'])
    t.strictSame(bound('endoreg-backup'), ['-/run/other', '-/run/secrets/rclone'])
    t.strictSame(bound('endoreg-restore-drill'), ['-/run/secrets/rclone'])
  })

  t.test('backups with a copy elsewhere, when and who is told', async t => {
    const backup = host(`{
      backup = {
        startAt = "hourly"; drillAt = "daily";
        restic = { repository = "sftp:backup:/srv/gc-10"; passwordFile = "/run/secrets/restic"; };
      };
      alertCommand = "/run/current-system/sw/bin/tell"; rotation = { enable = true; startAt = "weekly"; };
    }`)
    t.strictSame(backup.failed, [])
    t.strictSame(added(backup, 'endoreg-backup'), {
      LoadCredential: 'restic_password:/run/secrets/restic',
      SetCredential: 'restic_password:\\n',
    })
    t.strictSame(added(backup, 'endoreg-restore-drill'), added(backup, 'endoreg-backup'))
    t.strictSame(backup.timers['endoreg-backup']?.timerConfig, { OnCalendar: ['', 'hourly'] })
    t.strictSame(backup.timers['endoreg-restore-drill']?.timerConfig, { OnCalendar: ['', 'daily'] })
    t.strictSame(backup.timers['endoreg-rotate-password']?.timerConfig, { OnCalendar: ['', 'weekly'] })
    t.match(backup.provision.settings, {
      ENDOREG_ALERT_COMMAND: '/run/current-system/sw/bin/tell',
      RESTIC_REPOSITORY: 'sftp:backup:/srv/gc-10',
      RESTIC_PASSWORD_FILE: '/run/secrets/restic',
    })
    t.notOk(wantedBy(host('{ backup.enable = false; }'))['endoreg-backup.timer'])
  })

  t.test('a remote administrator', async t => {
    const remote = host('{ remoteAdmin = { enable = true; listenAddress = "172.16.255.110"; }; }')
    t.strictSame([remote.failed, remote.warnings], [[], []])
    t.equal(remote.postgresql.settings['listen_addresses'], 'localhost,127.0.0.1,172.16.255.110')
    t.match(remote.postgresql.authentication, /^host +all +postgres +172\.16\.255\.106\/32 scram-sha-256$/m)
    const deaf = host('{ remoteAdmin.enable = true; }')
    t.match(deaf.warnings, [/listens on the loopback addresses only.*remoteAdmin\.listenAddress/s])
  })

  t.test("a host's own PostgreSQL", async t => {
    const own = host(
      '{ }',
      'services.postgresql.package = pkgs.postgresql_17; services.postgresql.settings.port = 5433;',
    )
    t.strictSame(own.failed, [])
    t.match(own.postgresql, { package: /^postgresql-17$/, dataDir: /17$/ })
    t.match(own.provision.settings, {
      PGPORT: 5433,
      ENDOREG_DB_PORT: 5433,
      ENDOREG_PG_DATA: '/var/lib/postgresql/17',
    })
    const forced = host('{ }', 'services.postgresql.settings.listen_addresses = lib.mkForce "*";')
    t.equal(forced.postgresql.settings['listen_addresses'], '*')
  })

  t.test("rules of a host's own", async t => {
    const extra = host(`{
      extraAuthentication = "host keycloak keycloak 127.0.0.1/32 scram-sha-256";
      extraIdentMap = "superuser_map backup postgres";
    }`)
    t.strictSame(extra.warnings, [])
    t.match(
      extra.postgresql.authentication,
      /scram-sha-256\nhost keycloak keycloak 127\.0\.0\.1\/32 scram-sha-256\n?$/,
    )
    t.match(extra.postgresql.identMap, /\\1\nsuperuser_map backup postgres\n?$/)
    const forced = host('{ }', 'services.postgresql.authentication = lib.mkForce "local all all trust";')
    t.match(forced.warnings, [/is set elsewhere.*manifest\.hba/s])
  })

  t.test('PostgreSQL on another host', async t => {
    const remote = host('{ configurePostgresql = false; settings.PGHOST = "db.example.org"; }')
    t.strictSame(remote.failed, [])
    t.equal(remote.postgresql.enable, false)
    t.equal(remote.provision.settings['ENDOREG_PG_DATA'], null)
    t.match(remote.services['postgres-endoreg-setup']?.path, [/-util-linux$/], 'nsenter, and no PostgreSQL')
  })

  t.test('a role more, and roles of its own only', async t => {
    const names = ({ provision }: Host): string =>
      [...JSON.stringify(provision.manifest).matchAll(/"connectionLimit":-?\d+,"login":true,"name":"(\w+)"/g)]
        .map(([, name]) => name)
        .join(' ')
    const more = host('{ manifest.roles = [ { name = "grafana"; } ]; }')
    t.equal(
      names(more),
      'admin endoregDbLocal replUser testUser devUser lxClientUser stagingUser prodUser grafana',
    )
    const few = host(`{
      manifest.roles = lib.mkForce [ { name = "endoregDbLocal"; } ];
      manifest.databases = lib.mkForce [ { name = "endoregDbLocal"; owner = "endoregDbLocal"; } ];
    }`)
    t.strictSame([few.failed, names(few)], [[], 'endoregDbLocal'])
  })
})
