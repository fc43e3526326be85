import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'

const file = '/dev/null'

/** What each kind of setting takes, and what it refuses. */
const VALUES: readonly { name: string; good: readonly string[]; bad: readonly string[]; says: string }[] = [
  {
    name: 'PGPORT',
    good: ['1', '5432', '65535'],
    bad: ['0', '65536', '-1', '5432.0', ' 5432', '5432x', '0x10', '1e3', 'five'],
    says: 'must be a port from 1 to 65535',
  },
  {
    name: 'ENDOREG_DB_PORT',
    good: ['1', '65535'],
    bad: ['0', '65536', 'five'],
    says: 'must be a port from 1 to 65535',
  },
  {
    name: 'ENDOREG_VAULT_FILE',
    good: ['/vault', '/a b/.c/..d/e'],
    bad: ['vault', './vault', '/', '/vault/', '//vault', '/a/../b', '/a/./b', '/a/..', '/a/.'],
    says: 'must be an absolute path',
  },
  { name: 'ENDOREG_API_DIR', good: ['/api'], bad: ['api', '/api/'], says: 'must be an absolute path' },
  { name: 'ENDOREG_MANIFEST', good: ['/m.json'], bad: ['m.json'], says: 'must be an absolute path' },
  {
    name: 'ENDOREG_READY_TIMEOUT',
    good: ['1', '0.5', '0.001', '86400'],
    bad: ['0', '0.0', '-1', '86401', '86400.1', '1e3', 'Infinity', '60s', '1.', '.5'],
    says: 'must be seconds',
  },
  {
    name: 'ENDOREG_DB_NAME',
    good: ['x', 'a "quoted" name', 'x'.repeat(63), `${'ä'.repeat(31)}x`, 'pg_x', 'public'],
    bad: ['x'.repeat(64), 'ä'.repeat(32)],
    says: 'is longer than the 63 bytes',
  },
  ...['ENDOREG_DB_NAME', 'ENDOREG_DB_USER'].map(name => ({
    name,
    good: ['app/', 'a/b'],
    bad: ['/app', '/^app$', '/'],
    says: 'begins with /, so that access rules take it for a regular expression',
  })),
  { name: 'ENDOREG_DB_USER', good: ['pg', 'PG_x'], bad: ['pg_', 'pg_monitor'], says: 'begins with pg_' },
  {
    name: 'ENDOREG_DB_USER',
    good: ['Public', 'nobody'],
    bad: ['public', 'none'],
    says: 'is a name that PostgreSQL keeps for itself',
  },
  {
    name: 'ENDOREG_DB_USER',
    good: ['ordinary'],
    bad: ['a\nb', 'a\tb', 'a\u0085b', 'a\u2028b', 'a\uffffb', 'a\ud800b', 'a\ufffdb'],
    says: 'has a control character',
  },
  {
    name: 'PGHOST',
    good: ['/run/postgresql', 'localhost', '::1', '127.0.0.1', 'db-1.example.org'],
    bad: ['/run/', 'a,b', '-x', 'x.', '@abstract', 'a b', '[::1]'],
    says: 'must be ',
  },
  {
    name: 'ENDOREG_DB_HOST',
    good: ['localhost', '::1'],
    bad: ['/run/postgresql', 'a/b'],
    says: 'must be a host name or an address',
  },
  {
    name: 'ENDOREG_SERVICE_USER',
    good: ['endoreg-service-user', '_x', 'müller', 'machine$'],
    bad: ['-x', 'a:b', 'a b', '../x', '.x'],
    says: 'is no name of an account or group',
  },
  {
    name: 'ENDOREG_VAULT_MANAGED_BY',
    good: ['systemd-creds', 'a tool of ours'],
    bad: ['a\nb'],
    says: 'has a control character',
  },
  {
    name: 'ENDOREG_DB_SSLMODE',
    good: ['disable', 'verify-full'],
    bad: ['on', 'Prefer'],
    says: 'must be "disable" or "allow" or',
  },
  {
    name: 'ENDOREG_API_HEALTH_URL',
    good: ['http://localhost:8118/health/?a=b', 'https://[::1]'],
    bad: ['localhost:8118', 'ftp://a', 'http://', 'http:///x', 'http://a b'],
    says: 'must be an address that begins with http:// or https://',
  },
  {
    name: 'ENDOREG_API_HEALTH_URL',
    good: ['http://a/@'],
    bad: ['http://me:word@a/', 'https://me@a'],
    says: 'has a password or an account in it',
  },
  {
    name: 'ENDOREG_API_SETTINGS',
    good: ['{}', '{"TIME_ZONE": "UTC", "CENTRAL_NODES": [1, null, {"a": true}]}'],
    bad: ['{', "{'A': 1}"],
    says: 'is no JSON: line 1, column 2: expected a name in double quotes or }',
  },
  { name: 'ENDOREG_API_SETTINGS', good: [], bad: ['[]', 'null', '1'], says: 'is no JSON object' },
  {
    name: 'ENDOREG_API_SETTINGS',
    good: [],
    bad: ['{"import os; A": 1}', '{"debug": true}', '{"A B": 1}'],
    says: 'has what is no name of a setting of Django',
  },
  {
    name: 'ENDOREG_API_SETTINGS',
    good: [],
    bad: ['{"DATABASES": {}}', '{"A": 1, "SECRET_KEY": "x"}'],
    says: 'has',
  },
  {
    name: 'ENDOREG_API_UPDATE',
    good: ['never', 'boot'],
    bad: ['always', 'Boot'],
    says: 'must be "never" or "boot"',
  },
]

for (const { name, good, bad, says } of VALUES) {
  t.test(`${name} ${says}`, async t => {
    for (const value of good) {
      t.ok(
        Object.values(loadSettings({ [name]: value }, file))
          .map(String)
          .includes(value),
        value,
      )
    }
    for (const value of bad) {
      t.throws(() => loadSettings({ [name]: value }, file), {
        code: 78,
        message: /: one problem$/,
        reason: `${name} (the environment) ${says}`,
      })
    }
  })
}
