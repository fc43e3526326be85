import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Description } from '../../lib/backup/terms.ts'
import { findAccount } from '../../lib/host/accounts.ts'
import { type Row, SoundHost } from '../support/broken-host.ts'
import { type Host, needsRoot } from '../support/host.ts'
import { PrivateEtc } from '../support/private-etc.ts'

const etc = new PrivateEtc()
const edit = (file: string, change: (text: string) => string) => (): void => etc.edit(file, change)
const withoutLine =
  (pattern: RegExp) =>
  (text: string): string =>
    text
      .split('\n')
      .filter(line => !pattern.test(line))
      .join('\n')

/** An id that no account has, as a restore leaves it. */
const OTHER = 61_234
const giveAll = (path: string, uid: number, gid: number): unknown =>
  execFileSync('chown', ['-R', `${uid}:${gid}`, path])
function giveBack(path: string): void {
  const service = findAccount('endoreg-service-user')
  if (service) giveAll(path, service.uid, service.gid)
}

const backups = (host: Host): string => host.env['ENDOREG_BACKUP_DIR'] ?? ''
const OLD = '2020-01-01T00-00-00Z'
/** What describes the backup of an empty cluster. */
const OLD_BACKUP: Description = {
  format: 1,
  name: OLD,
  host: 'gc-10',
  reason: 'regular',
  started: '2020-01-01T00:00:00.000Z',
  finished: '2020-01-01T00:00:01.000Z',
  madeBy: 'endoreg-provision',
  server: { version: '16.1', major: 16, identifier: '1' },
  roles: [],
  tablespaces: [],
  databases: [],
  files: [],
}

/** Files, folders, accounts and names: each on a host that was sound before. */
const ROWS: readonly Row[] = [
  {
    name: 'a backup without its description',
    breaks: host => mkdirSync(join(backups(host), OLD), { recursive: true, mode: 0o700 }),
    finds: ['backup-unusable'],
    says: /manifest\.json cannot be read: no such file or folder/,
    restores: host => rmSync(backups(host), { recursive: true }),
  },
  {
    name: 'the last backup is old',
    breaks: host => {
      mkdirSync(join(backups(host), OLD), { recursive: true, mode: 0o700 })
      writeFileSync(join(backups(host), OLD, 'manifest.json'), JSON.stringify(OLD_BACKUP))
    },
    finds: ['backup-old'],
    says: /the last complete backup is \d+ days old/,
    restores: host => rmSync(backups(host), { recursive: true }),
  },
  {
    name: 'the vault file is missing',
    breaks: host => unlinkSync(host.vaultFile),
    finds: ['vault-missing'],
    fix: 'setup',
    mended: true,
    says: /the one PostgreSQL has/,
  },
  {
    name: 'the vault file is empty',
    breaks: host => writeFileSync(host.vaultFile, ''),
    finds: ['vault-missing'],
    says: /or it is empty\n.*\npostgres-endoreg-setup generates a new one/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the vault file has a control character',
    breaks: host => writeFileSync(host.vaultFile, 'a\0b\n'),
    finds: ['vault-unusable'],
    says: /control character U\+0000/,
    restores: host => writeFileSync(host.vaultFile, readFileSync(host.copy)),
  },
  {
    name: 'the vault file has a second line',
    breaks: host => appendFileSync(host.vaultFile, 'a note\n'),
    finds: ['vault-unusable'],
    says: /no password, because it has a second line, so it cannot be the password\n/,
    restores: host => writeFileSync(host.vaultFile, readFileSync(host.copy)),
  },
  {
    name: 'everybody can read the vault file',
    breaks: host => chmodSync(host.vaultFile, 0o644),
    finds: ['vault-exposed'],
    fix: 'setup',
    mended: true,
    says: /sync-password --rotate/,
  },
  {
    name: "the vault file is root's",
    breaks: host => chownSync(host.vaultFile, 0, 0),
    finds: ['vault-ownership'],
    fix: 'setup',
    mended: true,
    says: /it is root:root 0640, not admin:sensitiveServices 0640/,
  },
  {
    name: 'the vault file has a second name, so that its owner is not for the setup to change',
    breaks: host => {
      linkSync(host.vaultFile, join(host.folder, 'second'))
      chmodSync(host.vaultFile, 0o600)
    },
    finds: ['vault-ownership'],
    says: /it has 2 names \(hard links\).*\n.*ends with that\nFind them \(find/,
    restores: host => {
      rmSync(join(host.folder, 'second'))
      chmodSync(host.vaultFile, 0o640)
    },
  },
  {
    name: 'the vault file is in a folder that others use as well',
    breaks: host => {
      mkdirSync(join(host.folder, 'shared'))
      chmodSync(join(host.folder, 'shared'), 0o1777)
      renameSync(host.vaultFile, join(host.folder, 'shared/db_pwd'))
    },
    env: host => ({ ENDOREG_VAULT_FILE: join(host.folder, 'shared/db_pwd') }),
    finds: ['vault-folder'],
    says: /the whole system uses this folder\n.*ends with that\nGive the vault file a folder of its own: set ENDOREG_VAULT_FILE/,
    restores: host => {
      renameSync(join(host.folder, 'shared/db_pwd'), host.vaultFile)
      rmSync(join(host.folder, 'shared'), { recursive: true })
    },
  },
  {
    name: 'the folder of the vault is for its owner only',
    breaks: host => chmodSync(host.vaultFolder, 0o700),
    finds: ['vault-folder'],
    says: / 0700, not admin:sensitiveServices 0750\n/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'a folder above the vault keeps the service account out',
    breaks: host => chmodSync(dirname(host.vaultFolder), 0o700),
    finds: ['folder-closed'],
    says: /endoreg-service-user may not enter it, on the way to .*\n.*\nchown root:sensitiveServices .* && chmod 0710/,
    fix: 'folders',
    mended: true,
    restores: host => chmodSync(dirname(host.vaultFolder), 0o755),
  },
  {
    name: 'the link at the vault leads nowhere',
    breaks: host => {
      renameSync(host.vaultFile, `${host.vaultFile}.kept`)
      symlinkSync('/nowhere/password', host.vaultFile)
    },
    finds: ['vault-unusable'],
    says: /no file behind it/,
    restores: host => renameSync(`${host.vaultFile}.kept`, host.vaultFile),
  },
  {
    name: 'db_pwd is missing',
    breaks: host => unlinkSync(host.copy),
    finds: ['copy-missing'],
    says: /no such file\nthe API has no password to log in with/,
    fix: 'install',
    mended: true,
  },
  {
    name: "db_pwd is root's",
    breaks: host => chownSync(host.copy, 0, 0),
    finds: ['copy-unusable'],
    fix: 'install',
    mended: true,
    says: /could not read it/,
  },
  {
    name: 'everybody can read db_pwd',
    breaks: host => chmodSync(host.copy, 0o644),
    finds: ['copy-ownership'],
    says: / 0644, not endoreg-service-user:endoreg-service 0600/,
    fix: 'install',
    mended: true,
  },
  {
    name: 'db.yaml points elsewhere',
    breaks: host =>
      writeFileSync(host.yaml, readFileSync(host.yaml, 'utf8').replace('localhost', 'db.example')),
    finds: ['settings-differ'],
    fix: 'install',
    mended: true,
    says: /another host/,
  },
  {
    name: 'db.yaml is missing',
    breaks: host => unlinkSync(host.yaml),
    finds: ['settings-missing'],
    says: /no such file\nthe API connects somewhere else, or not at all/,
    fix: 'install',
    mended: true,
  },
  {
    name: 'db.yaml is no YAML',
    breaks: host => writeFileSync(host.yaml, 'a: [b\n'),
    finds: ['settings-unusable'],
    says: /the API cannot read where its database is/,
    restores: host => unlinkSync(host.yaml),
  },
  {
    name: "the service account's home is root's, and closed",
    breaks: host => {
      chownSync(dirname(host.apiDir), 0, 0)
      chmodSync(dirname(host.apiDir), 0o700)
    },
    finds: ['folder-closed'],
    fix: 'folders',
    mended: true,
    says: /chown endoreg-service-user:endoreg-service .* && chmod 0750/,
  },
  {
    name: "the service account's home was restored with other ids",
    breaks: host => giveAll(dirname(host.apiDir), OTHER, OTHER),
    finds: ['folder-closed'],
    says: /may not enter it, .*\n.*\nchown -R endoreg-service-user:endoreg-service \S+$/,
    restores: host => giveBack(dirname(host.apiDir)),
  },
  {
    name: 'the checkout was restored with other ids, in a home that is right',
    breaks: host => {
      giveAll(host.apiDir, OTHER, OTHER)
      chmodSync(host.apiDir, 0o755)
    },
    finds: ['checkout-unusable'],
    says: /endoreg-service-user is refused, .*; it belongs to 61234:61234\n.*\nchown -R endoreg-service-user:endoreg-service \S+endo-api &&/,
    restores: host => giveBack(host.apiDir),
  },
  {
    name: 'the service account has got another id, and its secrets have the old one',
    breaks: host => {
      for (const path of [host.copy, host.key]) chownSync(path, OTHER, OTHER)
    },
    finds: ['checkout-unusable'],
    says: /it belongs to 61234:61234, and endoreg-service-user could not read it, nor conf\/secret_key\n.*\nchown -R/,
    restores: host => giveBack(host.apiDir),
  },
  {
    name: "the SECRET_KEY is root's",
    breaks: host => chownSync(host.key, 0, 0),
    finds: ['key-unusable'],
    says: /^it belongs to root:root, and .*\n.*\nchown endoreg-service-user:endoreg-service \S+secret_key && chmod 0600/,
    restores: host => giveBack(host.key),
  },
  {
    name: 'the checkout is on a disk that is mounted read-only, and has another password than the vault',
    breaks: host => {
      writeFileSync(host.copy, 'another one\n')
      execFileSync('mount', ['--bind', host.apiDir, host.apiDir])
      execFileSync('mount', ['-o', 'remount,bind,ro', host.apiDir])
    },
    finds: ['checkout-unusable'],
    says: /nothing can be installed in it: the file system is mounted read-only\n.*\nRemount it writable/,
    restores: host => {
      execFileSync('umount', [host.apiDir])
      writeFileSync(host.copy, readFileSync(host.vaultFile))
    },
  },
  {
    name: 'there is no checkout',
    breaks: host => renameSync(host.apiDir, `${host.apiDir}.kept`),
    finds: ['checkout-missing'],
    says: /git clone/,
    restores: host => renameSync(`${host.apiDir}.kept`, host.apiDir),
  },
  {
    name: 'the name of the database resolves to nothing',
    breaks: () => {},
    env: () => ({ ENDOREG_DB_HOST: 'nowhere.invalid' }),
    finds: ['name-unresolved'],
    says: /nowhere\.invalid/,
  },
  {
    name: 'an ordinary account is told what it could not look at, and finds nothing wrong',
    breaks: () => {},
    as: 'stranger',
    finds: [],
    says: /not looked at: roles and databases: /,
  },
  {
    name: 'db.yaml has the password in plain',
    breaks: host => appendFileSync(host.yaml, `password: ${host.vault()}\n`),
    finds: ['password-in-settings'],
    fix: 'strays',
    mended: true,
    says: /it has the password of the vault in plain/,
  },
  {
    name: 'another tool has left the password in homes',
    breaks: host => {
      const home = join(host.folder, 'home')
      edit('passwd', text => text.replace(/^(endoreg-service-user:(?:[^:]*:){4})[^:]*/gm, `$1${home}`))()
      const left = join(home, 'secrets/vault')
      mkdirSync(left, { recursive: true })
      writeFileSync(join(left, 'SCRT_password'), `${host.vault()}\n`)
      const service = findAccount('endoreg-service-user')
      for (const path of [join(home, 'secrets'), left, join(left, 'SCRT_password')])
        chownSync(path, service?.uid ?? -1, service?.gid ?? -1)
    },
    within: etc,
    finds: ['password-left'],
    fix: 'strays',
    mended: true,
    says: /it holds the password of the vault in plain/,
  },
  {
    name: 'there is no local_settings.py',
    breaks: host => unlinkSync(host.local),
    finds: ['local-settings-missing'],
    fix: 'install',
    mended: true,
    says: /no such file/,
  },
  {
    name: 'local_settings.py is a person’s own, and at odds with the settings',
    breaks: host => writeFileSync(host.local, 'DEBUG = True\n'),
    finds: ['local-settings-foreign'],
    says: /says nothing of the database/,
    restores: async host => {
      unlinkSync(host.local)
      await host.boot()
    },
  },
  {
    name: 'there is no SECRET_KEY',
    breaks: host => unlinkSync(host.key),
    finds: ['key-missing'],
    fix: 'install',
    mended: true,
    says: /does not start without/,
  },
  {
    name: 'the service account is not in the group of the vault',
    breaks: edit('group', text => text.replace(/^(sensitiveServices:.*:).*$/m, '$1')),
    within: etc,
    finds: ['membership-missing'],
    says: /endoreg-service-user is not in the group sensitiveServices\n/,
    fix: 'accounts',
    mended: true,
  },
  {
    name: 'there is no group of the vault',
    breaks: edit('group', withoutLine(/^sensitiveServices:/)),
    within: etc,
    finds: ['group-missing'],
    says: /no group sensitiveServices\n/,
    fix: 'accounts',
    mended: true,
  },
  {
    name: 'there is no service account',
    breaks: edit('passwd', withoutLine(/^endoreg-service-user:/)),
    within: etc,
    finds: ['account-missing'],
    says: /no account endoreg-service-user\n.*\nuseradd/,
    fix: 'accounts',
    mended: true,
  },
  {
    name: '/etc/hosts has no ::1 for localhost',
    breaks: edit('hosts', withoutLine(/^::1/)),
    within: etc,
    finds: ['hosts-loopback ::1'],
    says: /has no "::1 localhost"/,
    fix: 'hosts',
    mended: true,
  },
  {
    name: '/etc/hosts is empty',
    breaks: edit('hosts', () => ''),
    within: etc,
    finds: ['name-unresolved localhost'],
    says: /Look at \/etc\/hosts: it should have "127\.0\.0\.1 localhost"/,
    fix: 'hosts',
    mended: true,
  },
]

t.test('files, accounts and names', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  etc.create(t)
  sound.rows(t, ROWS)
  t.test('every file that was rewritten is kept beside it once', async t => {
    t.match(etc.read('hosts.endoreg-before'), /127\.0\.0\.1 localhost/)
    t.notMatch(etc.read('hosts.endoreg-before'), /::1/)
    t.match(etc.read('hosts'), /::1 localhost/)
  })
})
