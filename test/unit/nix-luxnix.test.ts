import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { localSettings } from '../../lib/provision/local-settings.ts'
import { CHECKOUT, type Host, LIB, Nix, withoutLib } from '../support/nix.ts'

const HOST = join(CHECKOUT, 'test/support/nix/hosts/gc-10.nix')
const withoutPython = spawnSync('python3', ['--version']).error ? 'python3 is not here' : false
/** The manifest of a host, as its file in the store has it. */
const manifestOf = ({ provision }: Host): unknown =>
  JSON.parse(readFileSync(String(provision.settings['ENDOREG_MANIFEST']), 'utf8'))
/** The settings of Django that endo-api-boot writes on such a host. */
function djangoSettings({ provision }: Host): string {
  const given = Object.entries(provision.settings).filter(([, value]) => value !== null)
  const env = Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
  return localSettings(loadSettings(env, '/dev/null'))
}

/** What a host like gc-10 comes to. */
function isClinic(t: Test, host: Host): void {
  t.strictSame([host.failed, host.warnings], [[], []])
  t.match(host.provision.settings, {
    ENDOREG_DB_NAME: 'endoregDbLocal',
    ENDOREG_DB_USER: 'endoregDbLocal',
    ENDOREG_VAULT_OWNER: 'admin',
    ENDOREG_VAULT_GROUP: 'sensitiveServices',
    ENDOREG_API_REPOSITORY: 'https://github.com/wg-lux/endo-api',
    ENDOREG_API_BRANCH: 'main',
    ENDOREG_API_UPDATE: 'boot',
  })
  t.strictSame(host.postgresql.settings, {
    listen_addresses: 'localhost,127.0.0.1',
    max_wal_senders: 5,
    password_encryption: 'scram-sha-256',
    port: 5432,
    wal_keep_size: '512MB',
    wal_level: 'replica',
  })
  t.equal(host.postgresql.package, 'postgresql-16')
  t.match(host.postgresql.authentication, /^host +endoregDbLocal +endoregDbLocal +::1\/128 +scram-sha-256$/m)
  t.notMatch(host.postgresql.authentication, 'trust')
  const shipped: { roles: unknown[]; databases: unknown[] } = JSON.parse(
    readFileSync(join(CHECKOUT, 'units/manifest.json'), 'utf8'),
  )
  t.match(manifestOf(host), { roles: shipped.roles, databases: shipped.databases })
  for (const unit of ['postgres-endoreg-setup', 'endo-api-boot', 'endo-api'])
    t.strictSame(host.services[unit]?.wantedBy, ['multi-user.target'], unit)
  t.match(host.users['endoreg-service-user'], { uid: 400, group: /^endoreg-service$/ })
  t.equal(host.groups['endoreg-service']?.gid, 101)
  t.match(djangoSettings(host), /^CENTRAL_NODES = \["s-04"\]$/m)
}

t.test("a host file of LuxNix's", { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  isClinic(t, nix.host(`{ imports = [ ${HOST} ]; _module.check = false; }`, { luxnix: true }))
})

const LUXNIX = process.env['LUXNIX'] ?? ''
const withoutLuxnix =
  withoutLib ||
  (existsSync(join(LUXNIX, 'modules/nixos')) ? false : 'LUXNIX is not the path of a checkout of LuxNix')
t.test("gc-10's own host file, with LuxNix's own modules", { skip: withoutLuxnix }, async t => {
  const nix = new Nix(t)
  const expression = `import ${CHECKOUT}/test/support/nix/luxnix.nix {
    host = "systems/x86_64-linux/gc-10"; libPath = ${LIB}; luxnix = ${LUXNIX};
    modulesPath = "${CHECKOUT}/test/support/nix/modules"; path = ${JSON.stringify(nix.path)};
  }`
  t.ok(Number(nix.evaluate(`builtins.length (${expression}).modules`)) > 50)
  const host = nix.result(expression)
  isClinic(t, host)
  // LuxNix makes the vault's folder; its owner is given after that.
  t.ok(host.tmpfiles.includes('z /etc/secrets/vault 0750 admin sensitiveServices'))
  t.notOk(host.tmpfiles.some(line => /^d \/etc\/secrets\S* :/.test(line)))
  t.strictSame(host.groups['endoreg-service']?.members, ['admin', 'endoreg-service-user'])
})

t.test("LuxNix's options, one by one", { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const postgres = (options: string): Host =>
    nix.host(`{ lib, ... }: { roles.postgres.default.enable = true; ${options} }`, { luxnix: true })
  const api = (options: string): Host =>
    nix.host(`{ lib, ... }: { services.luxnix.endoregDbApiLocal.enable = true; ${options} }`, {
      luxnix: true,
    })
  const client = (options: string): Host =>
    nix.host(`{ lib, ... }: { roles.endoreg-client = { enable = true; dbApiLocal = true; ${options} }; }`, {
      luxnix: true,
    })
  const wanted = ({ services }: Host, name: string): boolean => (services[name]?.wantedBy.length ?? 0) > 0
  const environment = ({ services }: Host) => services['endo-api']?.environment

  t.test('without them nothing is enabled', async t => {
    const { services, postgresql, failed } = nix.host('{ }', { luxnix: true })
    t.strictSame([Object.keys(services), postgresql.enable, failed], [[], false, []])
  })

  t.test('roles.postgres.default.enable: PostgreSQL without the API', async t => {
    const host = postgres('')
    t.equal(host.postgresql.enable, true)
    t.ok(wanted(host, 'postgres-endoreg-setup'))
    t.notOk(wanted(host, 'endo-api') || wanted(host, 'endo-api-boot'))
  })

  t.test('services.luxnix.postgresql.enable and generic-settings.postgres.enable say the same', async t => {
    const { postgresql } = postgres('')
    for (const option of ['services.luxnix.postgresql.enable', 'luxnix.generic-settings.postgres.enable'])
      t.strictSame(nix.host(`{ ${option} = true; }`, { luxnix: true }).postgresql, postgresql, option)
  })

  t.test('roles.postgres.default.enable = false counts', async t => {
    const off = nix.host(
      '{ lib, ... }: { luxnix.generic-settings.postgres.enable = true; roles.postgres.default.enable = lib.mkForce false; }',
      { luxnix: true },
    )
    t.equal(off.postgresql.enable, false)
  })

  t.test('defaultDbName', async t => {
    const host = postgres('roles.postgres.default.defaultDbName = "clinicDb";')
    t.match(host.provision.settings, { ENDOREG_DB_NAME: 'clinicDb', ENDOREG_DB_USER: 'clinicDb' })
    t.match(host.postgresql.authentication, /^host +clinicDb +clinicDb +::1\/128/m)
  })

  t.test('replUser and its siblings', async t => {
    const names = {
      replUser: 'r',
      testUser: 't',
      devUser: 'd',
      lxClientUser: 'l',
      stagingUser: 's',
      productionUser: 'p',
    }
    const given = Object.entries(names).map(([option, name]) => `${option} = "${name}User2";`)
    const host = postgres(`roles.postgres.default = { ${given.join(' ')} };`)
    const manifest = JSON.stringify(manifestOf(host))
    for (const name of Object.values(names)) {
      t.ok(manifest.includes(`{"name":"${name}User2","owner":"${name}User2"}`), name)
      t.match(manifest, new RegExp(`"name":"${name}User2","replication":${name === 'r'}`))
    }
    t.match(host.postgresql.authentication, /^host +replication +rUser2 +::1\/128/m)
    t.match(host.postgresql.authentication, /^host +dUser2 +dUser2 +127/m)
    t.match(host.postgresql.identMap, /^superuser_map root +rUser2$/m)
    t.notMatch(manifest, /replUser|testUser|devUser|lxClientUser|stagingUser|prodUser/)
  })

  t.test('postgresqlDataDir, postgresqlPort and additionalPostgresAuthKeys', async t => {
    const host = postgres(`roles.postgres.default = {
      postgresqlDataDir = "/srv/postgresql"; postgresqlPort = 5433; additionalPostgresAuthKeys = [ "ssh-ed25519 AAAA" ];
    };`)
    t.strictSame(host.failed, [])
    t.equal(host.postgresql.dataDir, '/srv/postgresql')
    t.match(host.provision.settings, {
      PGPORT: 5433,
      ENDOREG_DB_PORT: 5433,
      ENDOREG_PG_DATA: '/srv/postgresql',
    })
    t.strictSame(host.users['postgres']?.openssh.authorizedKeys.keys, ['ssh-ed25519 AAAA'])
  })

  t.test('extraAuthentication and extraIdentMap, of both modules', async t => {
    const line = 'host keycloak keycloak ::1/128 scram-sha-256'
    for (const option of ['services.luxnix.postgresql', 'luxnix.generic-settings.postgres']) {
      const host = postgres(
        `${option} = { extraAuthentication = "${line}"; extraIdentMap = "superuser_map backup postgres"; };`,
      )
      t.strictSame(host.warnings, [])
      t.equal(host.postgresql.authentication.split('\n').filter(text => text === line).length, 1, option)
      t.match(host.postgresql.identMap, /\nsuperuser_map backup postgres\n?$/)
    }
  })

  t.test('listen_addresses', async t => {
    const host = postgres('services.luxnix.postgresql.listen_addresses = "localhost,172.16.255.110";')
    t.equal(host.postgresql.settings['listen_addresses'], 'localhost,172.16.255.110')
  })

  t.test('backupLocation', async t => {
    const moved = postgres('services.luxnix.postgresql.backupLocation = "/srv/backup";')
    t.equal(moved.provision.settings['ENDOREG_BACKUP_DIR'], '/srv/backup')
    t.strictSame(moved.services['endoreg-backup']?.serviceConfig, { ReadWritePaths: ['-/srv/backup'] })
    const home = postgres('services.luxnix.postgresql.backupLocation = "/home/admin/postgresql-backup";')
    t.match(home.failed, [/backup\.directory .*only root can write/s])
  })

  t.test('generic-settings.postgres.remote.admin', async t => {
    const usual = postgres('luxnix.generic-settings.postgres.remote.admin.enable = true;')
    t.match(usual.postgresql.authentication, /^host +all +postgres +172\.16\.255\.106\/32 scram-sha-256$/m)
    const moved = postgres(
      'luxnix.generic-settings = { adminVpnIp = "172.16.255.7"; postgres.remote.admin.enable = true; };',
    )
    t.match(moved.postgresql.authentication, /^host +all +all +172\.16\.255\.7\/32 scram-sha-256$/m)
    const own = postgres(
      'luxnix.generic-settings.postgres.remote.admin = { enable = true; vpnIp = "172.16.255.8"; };',
    )
    t.match(manifestOf(own), { remoteAdministrator: '172.16.255.8' })
  })

  t.test('the administrator and the group by other names', async t => {
    const host = postgres(`user.admin.name = "chief"; users.users.chief.isNormalUser = true;
      luxnix.generic-settings.sensitiveServiceGroupName = "keys";`)
    t.strictSame(host.failed, [])
    t.match(host.provision.settings, { ENDOREG_VAULT_OWNER: 'chief', ENDOREG_VAULT_GROUP: 'keys' })
    t.match(host.postgresql.identMap, /^superuser_map chief +chief$/m)
    t.match(manifestOf(host), {
      roles: [{ name: /^chief$/, replication: true }],
      databases: [{ name: /^chief$/, owner: /^chief$/ }],
    })
  })

  t.test('endoregDbApiLocal.enable brings PostgreSQL along', async t => {
    const host = api('')
    t.strictSame(host.failed, [])
    t.ok(host.postgresql.enable && wanted(host, 'endo-api') && wanted(host, 'endo-api-boot'))
    t.strictSame(environment(host), {
      BASE_URL: 'http://localhost:8118',
      CONF_TEMPLATE_DIR: '/var/endoreg-service-user/endo-api/conf_template',
      DATA_DIR: '/var/endoreg-service-user/endo-api/data',
      DJANGO_HOST: 'localhost',
      DJANGO_MODULE: 'endo_api',
      DJANGO_PORT: '8118',
      HTTP_PROTOCOL: 'http',
    })
  })

  t.test('endoregDbApiLocal.api: what the API reads', { skip: withoutPython }, async t => {
    const host = api(`services.luxnix.endoregDbApiLocal.api = {
      hostname = "api.example.org"; port = 443; useHttps = true; djangoModule = "other"; dataDir = "d"; confTemplateDir = "t";
      djangoAllowedHosts = [ "api.example.org" ]; djangoDebug = true; corsAllowedOrigins = [ "https://example.org" ];
      logLevel = "DEBUG"; maxRequestSize = "2G"; timeZone = "Europe/Berlin"; language = "de-de";
      extraSettings = { IS_CENTRAL_NODE = true; LIMITS = { a = 1; b = [ "\\"x\\"" null 2.5 ]; }; };
    };`)
    t.match(environment(host), {
      BASE_URL: 'https://api.example.org:443',
      HTTP_PROTOCOL: 'https',
      DJANGO_MODULE: 'other',
      DATA_DIR: '/var/endoreg-service-user/endo-api/d',
    })
    const folder = t.testdir({
      'local_settings.py': djangoSettings(host).replaceAll(
        '/var/endoreg-service-user/endo-api/conf',
        t.testdirName,
      ),
      db_pwd: 'pass word\n',
      secret_key: 'key\n',
      'show.py':
        'import json, local_settings as s\nprint(json.dumps({k: v for k, v in vars(s).items() if k.isupper()}))\n',
    })
    const python = spawnSync('python3', ['show.py'], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    })
    t.equal(python.status, 0, python.stderr)
    t.strictSame(JSON.parse(python.stdout), {
      ALLOWED_HOSTS: ['api.example.org'],
      CORS_ALLOWED_ORIGINS: ['https://example.org'],
      CORS_ALLOW_CREDENTIALS: true,
      DATABASES: {
        default: {
          ENGINE: 'django.db.backends.postgresql',
          NAME: 'endoregDbLocal',
          USER: 'endoregDbLocal',
          PASSWORD: 'pass word',
          HOST: 'localhost',
          PORT: '5432',
          OPTIONS: { sslmode: 'prefer' },
        },
      },
      DATA_UPLOAD_MAX_MEMORY_SIZE: 2_147_483_648,
      DEBUG: true,
      IS_CENTRAL_NODE: true,
      LANGUAGE_CODE: 'de-de',
      LIMITS: { a: 1, b: ['"x"', null, 2.5] },
      LOGGING: {
        version: 1,
        disable_existing_loggers: false,
        handlers: { console: { class: 'logging.StreamHandler' } },
        root: { handlers: ['console'], level: 'DEBUG' },
      },
      SECRET_KEY: 'key',
      TIME_ZONE: 'Europe/Berlin',
    })
  })

  t.test('endoregDbApiLocal.api: what is wrong is said', async t => {
    const wrong = (options: string) => api(`services.luxnix.endoregDbApiLocal.api = { ${options} };`)
    t.match(wrong('maxRequestSize = "100 MB";').failed, [/maxRequestSize is "100 MB"/])
    t.match(wrong('djangoSecretKeyFile = ./no-such-secret;').failed, [
      /djangoSecretKeyFile is in the Nix store/,
    ])
    t.match(wrong('confDir = "etc";').warnings, [/confDir is "etc"/])
    t.match(api('services.luxnix.endoregDbApiLocal.database.passwordFile = ./no-such-secret;').failed, [
      /vault\.file/,
    ])
  })

  t.test('endoregDbApiLocal.database', async t => {
    const host = api(`services.luxnix.endoregDbApiLocal.database = {
      host = "127.0.0.1"; port = 6432; name = "data"; user = "app"; passwordFile = "/srv/vault/password"; sslMode = "require";
    };`)
    t.strictSame(host.failed, [])
    t.match(host.provision.settings, {
      ENDOREG_DB_HOST: '127.0.0.1',
      ENDOREG_DB_PORT: 6432,
      ENDOREG_DB_NAME: 'data',
      ENDOREG_DB_USER: 'app',
      ENDOREG_VAULT_FILE: '/srv/vault/password',
    })
    t.match(djangoSettings(host), /"USER": "app",\n.*"PASSWORD": _Path\(".*\/conf\/db_pwd"\)/)
    t.match(djangoSettings(host), '"OPTIONS": {"sslmode": "require"}')
  })

  t.test('endoregDbApiLocal.api.djangoSecretKeyFile', async t => {
    const key = (options: string): unknown =>
      api(options).provision.settings['ENDOREG_API_SECRET_KEY_FILE'] ?? null
    t.equal(key(''), null, 'nobody makes that of the default, so one is generated in the checkout')
    t.equal(key('services.luxnix.endoregDbApiLocal.api.djangoSecretKeyFile = "/srv/key";'), '/srv/key')
  })

  t.test('endoregDbApiLocal.service', async t => {
    const host = api(
      'services.luxnix.endoregDbApiLocal.service = { extraEnvironment.REDIS_URL = "redis://localhost"; workers = 4; };',
    )
    t.match(environment(host), { REDIS_URL: 'redis://localhost' })
    t.match(host.warnings, [/service: workers has no effect/])
  })

  t.test('endoregDbApiLocal.repository', async t => {
    const host = api(
      'services.luxnix.endoregDbApiLocal.repository = { url = "git@h:a.git"; branch = "b"; updateOnBoot = false; };',
    )
    t.match(host.provision.settings, {
      ENDOREG_API_REPOSITORY: 'git@h:a.git',
      ENDOREG_API_BRANCH: 'b',
      ENDOREG_API_UPDATE: 'never',
    })
  })

  t.test('roles.endoreg-client passes its own on', async t => {
    const host = client(
      'database.user = "app"; api.port = 9000; repository.branch = "b"; service.extraEnvironment.A = "1";',
    )
    t.strictSame(host.failed, [])
    t.equal(host.provision.settings['ENDOREG_DB_USER'], 'app')
    t.equal(host.provision.settings['ENDOREG_API_BRANCH'], 'b')
    t.match(environment(host), { DJANGO_PORT: '9000', A: '1' })
    t.notOk(wanted(nix.host('{ roles.endoreg-client.enable = true; }', { luxnix: true }), 'endo-api'))
  })

  t.test('what a host says about services.endoreg-provision itself counts more', async t => {
    const host = api(
      'services.endoreg-provision = { vault.owner = "root"; api.repository.branch = "own"; }; users.users.root = { };',
    )
    t.match(host.provision.settings, { ENDOREG_VAULT_OWNER: 'root', ENDOREG_API_BRANCH: 'own' })
  })
})
