import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { copySettings, inspectData, makeFolder, moveFolders } from '../../lib/reset/folders.ts'
import { dropJournal, readJournal, writeJournal } from '../../lib/reset/journal.ts'
import { refuseRunning, runsIn } from '../../lib/reset/site.ts'
import { needsRoot } from '../support/host.ts'
import { plainRun } from '../support/plain-run.ts'
import { CLUSTER, LATER, OLD, RESET, site, UNDO } from '../support/reset-values.ts'

const mode = (path: string): number => statSync(path).mode & 0o777

t.test('what is begun is written down', async t => {
  const { settings } = plainRun(t)
  const file = join(settings.stateDir, 'reset.json')
  t.equal(readJournal(settings), undefined, 'without its folder')
  dropJournal(settings)
  writeJournal(settings, RESET)
  t.same(readJournal(settings), RESET)
  t.equal(mode(file), 0o600)
  t.equal(mode(settings.stateDir), 0o700)
  writeJournal(settings, UNDO)
  t.same(readJournal(settings), UNDO, 'one takes the place of the other')
  t.same(readdirSync(settings.stateDir), ['reset.json'])
  dropJournal(settings)
  t.equal(readJournal(settings), undefined)
  t.same(readdirSync(settings.stateDir), [])
  dropJournal(settings)
})

t.test('what somebody else has written there is not gone on with', async t => {
  const { settings } = plainRun(t)
  writeJournal(settings, RESET)
  const file = join(settings.stateDir, 'reset.json')
  const refused = (content: string, what: string): void => {
    writeFileSync(file, content)
    const failure = {
      code: 78,
      message: /read what an interrupted reset has begun/,
      hint: /^No version of this program/,
    }
    t.throws(() => readJournal(settings), failure, what)
  }
  refused('', 'empty')
  refused(JSON.stringify(RESET).slice(0, -1), 'half of it')
  for (const [what, other] of [
    ['another format', { format: 2 }],
    ['another action', { action: 'purge' }],
    ['a key that nobody knows', { and: 1 }],
    ['no folder', { aside: undefined }],
    ['no preparation', { prepared: undefined }],
    ['a backup that is no name', { backup: 1 }],
    ['no cluster', { cluster: undefined }],
    ['another maker', { cluster: { ...CLUSTER, maker: 'hand' } }],
  ] as const)
    refused(JSON.stringify({ ...RESET, ...other }), what)
  refused(
    JSON.stringify({ ...UNDO, away: undefined }),
    'an undo that does not say what the present data is called',
  )
  writeFileSync(file, JSON.stringify(UNDO))
  t.same(readJournal(settings), UNDO)
})

t.test('several folders get their names back, the last first', async t => {
  const folder = t.testdir({ main: { old: '' }, fresh: { new: '' } })
  const moves = (): void =>
    moveFolders.here(folder, [
      ['main', 'aside'],
      ['fresh', 'main'],
      ['gone', 'other'],
    ])
  t.throws(moves, { code: 73, message: /rename .*gone to other/ })
  t.same(readdirSync(folder).sort(), ['fresh', 'main'])
  t.ok(existsSync(join(folder, 'main/old')))
  t.ok(existsSync(join(folder, 'fresh/new')))
})

t.test('nothing is replaced, not even an empty folder', async t => {
  const folder = t.testdir({ main: { old: '' }, aside: {} })
  symlinkSync('nowhere', join(folder, 'dangling'))
  for (const name of ['aside', 'dangling'])
    t.throws(() => moveFolders.here(folder, [['main', name]]), {
      code: 73,
      reason: 'there is something of that name',
    })
  t.ok(existsSync(join(folder, 'main/old')))
})

t.test('a new folder is for nobody else', async t => {
  const folder = t.testdir({ there: { kept: '' } })
  makeFolder.here(folder, 'main')
  t.equal(mode(join(folder, 'main')), 0o700)
  t.throws(() => makeFolder.here(folder, 'there'), { name: 'Failure' })
  t.throws(() => makeFolder.here(join(folder, 'gone'), 'main'), { code: 73 })
  t.ok(existsSync(join(folder, 'there/kept')))
})

t.test('what ALTER SYSTEM has set goes with the configuration', async t => {
  const folder = t.testdir({
    main: { 'postgresql.auto.conf': 'work_mem = 5MB\n', 'pg_hba.conf': '' },
    fresh: {},
    bare: {},
  })
  const [main, fresh, bare] = ['main', 'fresh', 'bare'].map(name => join(folder, name))
  if (!main || !fresh || !bare) throw new Error('there are three')
  copySettings.here(main, fresh)
  t.equal(readFileSync(join(fresh, 'postgresql.auto.conf'), 'utf8'), 'work_mem = 5MB\n')
  t.equal(mode(join(fresh, 'postgresql.auto.conf')), 0o600)
  t.same(readdirSync(fresh), ['postgresql.auto.conf'], 'and nothing else')
  copySettings.here(bare, fresh)
  t.equal(readFileSync(join(fresh, 'postgresql.auto.conf'), 'utf8'), 'work_mem = 5MB\n')
})

t.test('what is known of a data folder', async t => {
  const folder = t.testdir({ main: { PG_VERSION: '16\n' } })
  const main = join(folder, 'main')
  const { uid, dev, ino } = statSync(main)
  chmodSync(main, 0o700)
  t.match(inspectData.here(main), {
    uid,
    device: dev,
    inode: ino,
    wal: null,
    tablespaces: [],
    pid: null,
  })
  t.equal(inspectData.here(main).movable, true)
  chmodSync(folder, 0o577)
  t.equal(inspectData.here(main).movable, false, 'what others may is nothing for the owner')
  chmodSync(folder, 0o700)
})

t.test('whose folders they are', needsRoot, async t => {
  const folder = t.testdir({ main: {}, [OLD]: { PG_VERSION: '16\n' }, [LATER]: { PG_VERSION: '16\n' } })
  const main = join(folder, 'main')
  chownSync(join(folder, OLD), 12_345, 0)
  t.same(
    inspectData.here(main).beside.map(({ name }) => name),
    [LATER],
    "another account's folder is none of ours",
  )
  chownSync(main, 12_345, 0)
  t.equal(inspectData.here(main).uid, 12_345)
  const movable = (gid: number, bits: number): boolean => {
    chownSync(folder, 12_345, gid)
    chmodSync(folder, bits)
    return inspectData.here(main).movable
  }
  const own = process.getegid?.() ?? 0
  t.equal(movable(own, 0o770), true)
  t.equal(movable(own, 0o757), false, 'what others may is nothing for the group')
  t.equal(movable(12_345, 0o772), true)
  t.equal(movable(12_345, 0o775), false)
})

t.test('a server at work in the folder', async t => {
  const folder = t.testdir({ main: {}, other: {} })
  const main = join(folder, 'main')
  const at = site({ cluster: { ...CLUSTER, data: main }, parent: folder })
  const working = async (t: Test, cwd: string): Promise<number> => {
    const child = spawn('sleep', ['infinity'], { cwd, stdio: 'ignore' })
    await once(child, 'spawn')
    t.teardown(() => child.kill('SIGKILL'))
    return child.pid ?? 0
  }
  const say = (pid: number): void => writeFileSync(join(main, 'postmaster.pid'), `${pid}\n${main}\n`)
  t.doesNotThrow(() => refuseRunning(at), 'no server')
  const pid = await working(t, main)
  say(pid)
  t.throws(() => refuseRunning(at), {
    code: 75,
    reason: `a server (pid ${pid}) is at work in it, though ${CLUSTER.unit} was stopped`,
  })
  say(await working(t, join(folder, 'other')))
  t.doesNotThrow(() => refuseRunning(at), 'that process is something else: the server was killed')
  const { dev, ino } = statSync(main)
  t.equal(runsIn({ pid, device: dev, inode: ino }), true)
  t.equal(runsIn({ pid, device: dev, inode: ino + 1 }), false)
  t.equal(runsIn({ pid, device: dev + 1, inode: ino }), false)
  t.equal(runsIn({ pid: null, device: dev, inode: ino }), false)
  t.equal(runsIn({ pid: 4_194_305, device: dev, inode: ino }), false, 'there is no such process')
})
