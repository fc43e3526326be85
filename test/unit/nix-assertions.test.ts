import t from 'tap'
import { Nix, withoutLib } from '../support/nix.ts'

/** A configuration's options, what else it says, and what its one failed assertion has to say. */
type Wrong = readonly [name: string, options: string, says: RegExp, rest?: string]

const WRONG: readonly Wrong[] = [
  [
    'a vault file that is a path literal',
    '{ vault.file = ./no-such-secret; }',
    /vault\.file .*would be copied.*as a string/s,
  ],
  [
    'a vault file in the store',
    `{ vault.file = "\${builtins.toFile "password" "secret"}"; }`,
    /vault\.file .*in the Nix store/s,
  ],
  [
    'a vault file in the store, by its setting',
    `{ settings.ENDOREG_VAULT_FILE = "\${builtins.storeDir}/x/password"; }`,
    /vault\.file .*in the Nix store/s,
  ],
  [
    "restic's password in the store",
    `{ backup.restic = { repository = "/srv/restic"; passwordFile = "\${builtins.storeDir}/x"; }; }`,
    /backup\.restic\.passwordFile .*in the Nix store/s,
  ],
  [
    "restic's address in the store",
    '{ backup.restic = { repositoryFile = ./no-such-secret; passwordFile = "/run/secrets/restic"; }; }',
    /backup\.restic\.repositoryFile .*in the Nix store/s,
  ],
  [
    "a password in restic's address",
    '{ backup.restic = { repository = "rest:https://clinic:secret@backup/"; passwordFile = "/run/secrets/restic"; }; }',
    /backup\.restic\.repository has a password.*repositoryFile/s,
  ],
  [
    "a password in the repository's address",
    '{ api.repository.url = "https://clinic:secret@git.example.org/endo-api"; }',
    /api\.repository\.url has a password.*key/s,
  ],
  [
    'the keys of S3 in the store',
    '{ settings.AWS_SHARED_CREDENTIALS_FILE = ./no-such-secret; }',
    /settings\.AWS_SHARED_CREDENTIALS_FILE .*would be copied/s,
  ],
  [
    'a password for a proxy',
    '{ settings.HTTPS_PROXY = "http://clinic:secret@proxy:3128"; }',
    /settings\.HTTPS_PROXY has a password/,
  ],
  [
    'two addresses for restic',
    '{ backup.restic = { repository = "/srv/restic"; repositoryFile = "/run/r"; passwordFile = "/run/p"; }; }',
    /both repository and repositoryFile/,
  ],
  [
    'restic without a password',
    '{ backup.restic.repository = "/srv/restic"; }',
    /no password for it.*passwordFile/s,
  ],
  [
    'backups in a home',
    '{ backup.directory = "/home/admin/postgresql-backup"; }',
    /backup\.directory .*\/var\/backups\/endoreg/s,
  ],
  [
    'a vault of an account that is not there',
    '{ vault.owner = "nobody-here"; }',
    /vault\.owner .*"nobody-here".*no such account.*"root"/s,
  ],
  ['the API as root', '{ api.user = "root"; }', /must not run as root/],
  ['the API as PostgreSQL', '{ api.user = "postgres"; }', /nor as the account of PostgreSQL/],
  [
    'the application as the administrative role',
    '{ settings.PGUSER = "endoregDbLocal"; }',
    /must not be the\s+administrative role/,
  ],
  [
    'no role for the application',
    '{ manifest.roles = lib.mkForce [ { name = "other"; } ]; manifest.databases = lib.mkForce [ { name = "endoregDbLocal"; owner = "other"; } ]; }',
    /manifest\.roles has no "endoregDbLocal" that may log in.*Add/s,
  ],
  [
    'a role for the application that may not log in',
    '{ manifest.roles = lib.mkForce [ { name = "endoregDbLocal"; login = false; } ]; manifest.databases = lib.mkForce [ { name = "endoregDbLocal"; owner = "endoregDbLocal"; } ]; }',
    /has no "endoregDbLocal" that may log in/,
  ],
  [
    'no database for the application',
    '{ manifest.databases = lib.mkForce [ ]; }',
    /manifest\.databases has no "endoregDbLocal".*Add/s,
  ],
  ['a role twice', '{ manifest.roles = [ { name = "devUser"; } ]; }', /has a role twice: "devUser"/],
  [
    'a database twice',
    '{ manifest.databases = [ { name = "devUser"; owner = "devUser"; } ]; }',
    /has a database twice: "devUser"/,
  ],
  [
    'a database of nobody',
    '{ manifest.databases = [ { name = "lab"; owner = "labUser"; } ]; }',
    /no declared role: "labUser"/,
  ],
  [
    'a local rule with an address',
    '{ manifest.hba = [ { type = "local"; database = "all"; role = "all"; address = "loopback"; method = "peer"; } ]; }',
    /address does not fit its type: "local all all"/,
  ],
  [
    'a rule without an address',
    '{ manifest.hba = [ { type = "host"; database = "lab"; role = "lab"; method = "scram-sha-256"; } ]; }',
    /address does not fit its type: "host lab lab"/,
  ],
  ['no rule', '{ manifest.hba = lib.mkForce [ ]; }', /manifest\.hba is empty/],
  [
    'a range of remote administrators',
    '{ remoteAdmin = { enable = true; address = "172.16.255.0/24"; listenAddress = "172.16.255.110"; }; }',
    /is no IP address/,
  ],
  ['a backslash in a setting', '{ api.command = "serve \\\\x"; }', /ENDOREG_API_COMMAND has a backslash/],
  [
    'both quotes in a setting',
    `{ api.command = "serve 'a' \\"b\\""; }`,
    /ENDOREG_API_COMMAND has .*both kinds of quotes/,
  ],
  [
    'two writers of a role',
    '{ }',
    /ensureUsers and .*both have: "devUser".*one writer/s,
    'services.postgresql.ensureUsers = [ { name = "devUser"; } { name = "other"; } ];',
  ],
  [
    'two writers of a database',
    '{ }',
    /ensureDatabases and .*both have: "replication".*one writer/s,
    'services.postgresql.ensureDatabases = [ "replication" ];',
  ],
  [
    'two ports',
    '{ settings.PGPORT = 5433; }',
    /PGPORT is 5433, and services\.postgresql\.settings\.port 5432/,
  ],
  [
    'an old PostgreSQL',
    '{ }',
    /PostgreSQL 13: the commands need 15/,
    'services.postgresql.package = pkgs.postgresql_13;',
  ],
  ['no PostgreSQL', '{ configurePostgresql = false; }', /services\.postgresql is not enabled.*PGHOST/s],
]

/** Options that no option takes, and what Nix has to say then. */
const REFUSED: readonly (readonly [options: string, says: RegExp])[] = [
  ['{ settings.ENDOREG_DB_USR = "x"; }', /settings\.ENDOREG_DB_USR' does not exist/],
  ['{ settings.ENDOREG_MANIFEST = "/etc/manifest.json"; }', /ENDOREG_MANIFEST' is read-only/],
  ['{ settings.PGPORT = 70000; }', /port, from 1 to 65535/],
  ['{ settings.ENDOREG_READY_TIMEOUT = 0; }', /seconds, more than 0/],
  ['{ settings.ENDOREG_API_UPDATE = "always"; }', /one of "never", "boot"/],
  ['{ settings.ENDOREG_STATE_DIR = "state"; }', /absolute path/],
  ['{ settings.ENDOREG_STATE_DIR = "/var/../state"; }', /absolute path/],
  ['{ api.directory = "/srv/endo-api/"; }', /absolute path/],
  ['{ api.command = "two\\nlines"; }', /text on one line/],
  ['{ api.user = "two words"; }', /name of an account/],
  ['{ manifest.roles = [ { name = "pg_monitor"; } ]; }', /PostgreSQL does not keep for itself/],
  [`{ manifest.databases = [ { name = "${'x'.repeat(64)}"; owner = "admin"; } ]; }`, /of 63 bytes at most/],
  ['{ manifest.roles = [ { name = "x"; superuser = true; } ]; }', /superuser' does not exist/],
  [
    '{ manifest.hba = [ { type = "unix"; database = "x"; role = "x"; method = "peer"; } ]; }',
    /"local", "host", "hostssl"/,
  ],
]

t.test('what is wrong with a configuration is said with what to do', { skip: withoutLib }, async t => {
  const nix = new Nix(t)
  const host = (options: string, rest = '') =>
    nix.host(`{ lib, pkgs, ... }: { services.endoreg-provision = { enable = true; } // ${options}; ${rest} }`)

  for (const [name, options, says, rest] of WRONG) {
    t.test(name, async t => {
      const { failed } = host(options, rest)
      t.match(failed, [says])
      t.equal(failed.length, 1, failed.join('\n'))
      t.match(failed[0], /\bservices\.(?:endoreg-provision|postgresql)\b/)
    })
  }
  for (const [options, says] of REFUSED) {
    t.test(options, async t => {
      t.throws(() => host(options), { message: says })
    })
  }
})
