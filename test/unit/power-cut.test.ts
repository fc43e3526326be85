import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openBackups, removeBackup } from '../../lib/backup/folder.ts'
import { beginCopy, isCopyPending } from '../../lib/backup/restic/push.ts'
import { Password } from '../../lib/frame/password.ts'
import { account } from '../../lib/host/accounts.ts'
import { appendLine, keepBefore } from '../../lib/host/configuration-file.ts'
import { createOnce, remove, replace, replaceByOther, replaceFile } from '../../lib/host/file.ts'
import { inFolder, makeFolder } from '../../lib/host/folder.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { rewriteAccessFile } from '../../lib/provision/apply-access.ts'
import { preparePasswordCopy } from '../../lib/provision/copies.ts'
import { RememberedVerifiers } from '../../lib/provision/remembered-verifiers.ts'
import { copySettings, moveFolders } from '../../lib/reset/folders.ts'
import { dropJournal, type Journal, readJournal, writeJournal } from '../../lib/reset/journal.ts'
import { Disk, needsDisks } from '../support/disk.ts'

const OWNER = { uid: 0, gid: 0, mode: 0o640, names: 'root:root' }
const SECRET = Buffer.from('a password that has to last\n')
const JOURNAL: Journal = {
  format: 1,
  action: 'undo',
  begun: '2026-11-26T01:00:00Z',
  around: { companions: [], dependants: [], jobs: [] },
  cluster: {
    maker: 'debian',
    name: '15/main',
    major: 15,
    port: 5432,
    data: '/data',
    unit: 'postgresql@15-main.service',
    recipe: {
      collate: 'C',
      ctype: 'C',
      provider: 'c',
      locale: null,
      icuRules: null,
      checksums: true,
      walSegmentSize: 1,
      groupAccess: false,
      superuser: 'postgres',
    },
  },
  aside: 'main.before-reset-2026-11-26T01-00-00Z',
  away: 'main.before-undo-2026-11-26T01-00-01Z',
}

t.test('what was done is there after a power cut', needsDisks, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'endoreg-power-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const disk = Disk.mount(t, folder)
  const at = (name: string): string => join(folder, name)
  const read = (name: string): string => readFileSync(at(name), 'utf8')
  const settings = loadSettings(
    { ENDOREG_STATE_DIR: at('state'), ENDOREG_BACKUP_DIR: at('backups') },
    undefined,
  )
  const root = account('root', 'ENDOREG_PG_OS_USER')

  type Row = {
    readonly name: string
    /** What is on the disk before. */
    readonly before?: () => unknown
    readonly work: () => unknown
    /** What was done with it once the power is back, and what that has to be. */
    readonly found: () => unknown
    readonly wanted: unknown
  }
  const rows: readonly Row[] = [
    {
      name: 'without a word to the disk, nothing is: the power is really cut',
      work: () => {
        writeFileSync(at('lost'), SECRET)
        mkdirSync(at('lost folder'))
      },
      found: () => readdirSync(folder),
      wanted: [],
    },
    {
      name: 'a secret that is made once',
      work: () => inFolder(folder, here => createOnce(here, 'secret', SECRET, OWNER)),
      found: () => [read('secret'), statSync(at('secret')).mode & 0o7777],
      wanted: [String(SECRET), 0o640],
    },
    {
      name: 'a secret that is replaced',
      before: () => writeFileSync(at('secret'), 'old\n'),
      work: () => inFolder(folder, here => replaceFile(here, 'secret', SECRET, OWNER)),
      found: () => [read('secret'), statSync(at('secret')).mode & 0o7777],
      wanted: [String(SECRET), 0o640],
    },
    {
      name: 'a folder, and those above it',
      work: () => makeFolder(at('one/two'), 0o700).close(),
      found: () => statSync(at('one/two')).mode & 0o7777,
      wanted: 0o700,
    },
    {
      name: "a rotation's journal",
      before: () => writeFileSync(at('secret'), 'old\n'),
      work: () => replace.here(at('secret.next'), SECRET, OWNER),
      found: () => [read('secret'), read('secret.next')],
      wanted: ['old\n', String(SECRET)],
    },
    {
      name: 'a rotation at its end: the journal has gone, and what it held is in the vault',
      before: () => {
        writeFileSync(at('secret'), 'old\n')
        writeFileSync(at('secret.next'), SECRET)
      },
      work: () => {
        replaceByOther.here(at('secret'), at('secret.next'))
        remove.here(at('secret.next'))
      },
      found: () => [readdirSync(folder), read('secret')],
      wanted: [['secret'], String(SECRET)],
    },
    {
      name: "the API's copy, once it is synchronised",
      before: () => mkdirSync(at('conf')),
      work: async () => {
        const copy = await preparePasswordCopy(folder, new Password('next'), root, { ...OWNER, mode: 0o600 })
        await copy.place()
        copy.synchronise()
      },
      found: () => [read('conf/db_pwd'), readdirSync(at('conf'))],
      wanted: ['next\n', ['db_pwd']],
    },
    {
      name: 'what is remembered of a verifier',
      work: () => new RememberedVerifiers(settings.stateDir, '7').remember('role', 'verifier'),
      found: () =>
        new RememberedVerifiers(settings.stateDir, '7').isForeign('role', 'verifier') ||
        read('state/verifiers.7').length,
      // Two hashes, of the role and of the verifier.
      wanted: 130,
    },
    {
      name: 'access rules, with what was there before',
      before: () => writeFileSync(at('pg_hba.conf'), 'old\n'),
      work: () => rewriteAccessFile(root, at('pg_hba.conf'), Buffer.from('old\n'), Buffer.from('new\n')),
      found: () => [read('pg_hba.conf'), read('pg_hba.conf.endoreg-before')],
      wanted: ['new\n', 'old\n'],
    },
    {
      name: 'a line at the end of a file, with what was there before',
      before: () => writeFileSync(at('hosts'), '127.0.0.1 localhost'),
      work: () => appendLine.here(at('hosts'), '::1 localhost'),
      found: () => [read('hosts'), read('hosts.endoreg-before')],
      wanted: ['127.0.0.1 localhost\n::1 localhost\n', '127.0.0.1 localhost'],
    },
    {
      name: 'a copy of a file that is about to be changed',
      before: () => writeFileSync(at('hosts'), '127.0.0.1 localhost\n'),
      work: () => keepBefore.here(at('hosts')),
      found: () => read('hosts.endoreg-before'),
      wanted: '127.0.0.1 localhost\n',
    },
    {
      name: "a reset's journal",
      work: () => writeJournal(settings, JOURNAL),
      found: () => readJournal(settings),
      wanted: JOURNAL,
    },
    {
      name: "a reset's journal that is done with",
      before: () => writeJournal(settings, JOURNAL),
      work: () => dropJournal(settings),
      found: () => readJournal(settings),
      wanted: undefined,
    },
    {
      name: "a data folder's new name",
      before: () => {
        for (const name of ['main', 'fresh']) mkdirSync(at(name))
      },
      work: () =>
        moveFolders.here(folder, [
          ['main', 'aside'],
          ['fresh', 'main'],
        ]),
      found: () => readdirSync(folder).sort(),
      wanted: ['aside', 'main'],
    },
    {
      name: "what ALTER SYSTEM had set, in a new cluster's folder",
      before: () => {
        for (const name of ['main', 'fresh']) mkdirSync(at(name))
        writeFileSync(at('main/postgresql.auto.conf'), SECRET)
      },
      work: () => copySettings.here(at('main'), at('fresh')),
      found: () => read('fresh/postgresql.auto.conf'),
      wanted: String(SECRET),
    },
    {
      name: 'that a backup is about to be copied',
      work: () => beginCopy(settings, 'backup'),
      found: () => isCopyPending(settings, 'backup'),
      wanted: true,
    },
    {
      name: 'an old backup that is removed has lost its name before anything in it',
      before: () => {
        mkdirSync(at('backups'), { mode: 0o700 })
        mkdirSync(at('backups/old'))
        writeFileSync(at('backups/old/manifest.json'), SECRET)
      },
      work: () => {
        const backups = openBackups(settings)
        removeBackup(backups, 'old')
        backups.close()
      },
      found: () => existsSync(at('backups/old')),
      wanted: false,
    },
  ]
  for (const { name, before, work, found, wanted } of rows) {
    await t.test(name, async t => {
      for (const left of readdirSync(folder)) rmSync(at(left), { recursive: true })
      await before?.()
      disk.settle()
      await work()
      Disk.cut(disk)
      t.same(found(), wanted)
    })
  }
})
