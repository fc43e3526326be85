import { hostname } from 'node:os'
import t from 'tap'
import { judge } from '../../lib/frame/confirm.ts'
import { Failure } from '../../lib/frame/failure.ts'
import { unfinished, unstarted, withState } from '../../lib/reset/dependants.ts'
import { parseBeside, saysMoved } from '../../lib/reset/folders.ts'
import { leftFresh } from '../../lib/reset/make.ts'
import { foldersToPurge, purgedName } from '../../lib/reset/purge.ts'
import { begin, movesOf, progressOf, refuseUnfit } from '../../lib/reset/reset.ts'
import { freeName, isBeside } from '../../lib/reset/site.ts'
import { choose, describeUndo, isToBeFinished, movesBack } from '../../lib/reset/undo.ts'
import {
  AWAY,
  CLUSTER,
  FRESH,
  folders,
  LATER,
  NOTHING_AROUND,
  OLD,
  PURGED,
  RESET,
  SERVER,
  site,
  UNDO,
} from '../support/reset-values.ts'

const flags = (...names: string[]) => ({ flags: new Set(names) })
const beside = (...names: string[]) => ({ beside: folders(names) })
const DOWN = { server: undefined }
const MISSING = { state: 'missing' } as const

t.test('what of an interrupted reset is gone on with', async t => {
  const stage = (other: Parameters<typeof site>[0]) => {
    const { before, resumed, moved } = progressOf(site(other))
    return [before?.aside, resumed?.aside, moved]
  }
  t.same(stage({}), [undefined, undefined, false], 'nothing was begun')
  t.same(stage(DOWN), [undefined, undefined, false])
  t.same(stage({ journal: UNDO, folder: beside(OLD) }), [undefined, undefined, false], 'that was an undo')
  t.same(
    stage({ journal: RESET }),
    [OLD, undefined, false],
    'up, and nothing moved: begun anew, with a new backup',
  )
  t.same(stage({ journal: RESET, ...DOWN }), [OLD, OLD, false], 'down: its backup is made already')
  const silence = new Failure(78, { message: 'connect', cause: 'refused', hint: '' })
  t.same(stage({ journal: RESET, ...DOWN, silence }), [OLD, undefined, false], 'up, and says nothing')
  t.same(stage({ journal: RESET, folder: beside(OLD) }), [OLD, OLD, true], 'up, with a new cluster')
  t.same(stage({ journal: RESET, ...DOWN, folder: { ...MISSING, ...beside(OLD) } }), [OLD, OLD, true])
  t.same(stage({ journal: RESET, folder: beside(LATER) }), [OLD, undefined, false], 'that is another folder')
})

t.test('what a reset writes down', async t => {
  const now = begin(flags(), site(), NOTHING_AROUND)
  t.match(now, {
    format: 1,
    action: 'reset',
    cluster: CLUSTER,
    around: NOTHING_AROUND,
    prepared: false,
    backup: null,
  })
  t.equal(parseBeside('main', now.aside)?.kind, 'before-reset')
  t.ok(Math.abs(Date.now() - Date.parse(now.begun)) < 3_600_000)
  t.equal(begin(flags('no-backup'), site(), NOTHING_AROUND).prepared, true, 'no backup is wanted')
  t.equal(begin(flags(), site(DOWN), NOTHING_AROUND).prepared, true, 'none can be made')
})

t.test('a name after all that are there', async t => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const name = (...names: string[]) => freeName(site({ folder: beside(...names) }), 'before-reset', now)
  t.equal(name(), OLD)
  t.equal(name('main.before-undo-2025-12-31T23-59-58Z'), OLD)
  const next = 'main.before-reset-2026-01-01T00-00-01Z'
  t.equal(name(OLD), next)
  t.equal(
    name('main.before-undo-2026-01-01T00-00-00Z'),
    next,
    'a reset within the second of an undo is the later one',
  )
  t.equal(name(OLD, next, 'main.before-undo-2024-01-01T00-00-00Z'), 'main.before-reset-2026-01-01T00-00-02Z')
  t.equal(name(AWAY), 'main.before-reset-2026-03-01T00-00-01Z', 'the clock has gone back')
  t.equal(name('main.before-undo-2026-99-99T00-00-00Z'), OLD, 'that is no time')
  const taken = beside(OLD, next)
  t.equal(isBeside(site({ folder: taken }), OLD), true)
  t.equal(isBeside(site({ folder: taken }), LATER), false)
})

t.test('what is renamed, and in which order', async t => {
  t.same(movesOf('main', RESET, false, FRESH), [
    ['main', OLD],
    [FRESH, 'main'],
  ])
  t.same(movesOf('main', RESET, true, FRESH), [[FRESH, 'main']], 'the old one has its name already')
  t.same(movesOf('main', RESET, false, undefined), [['main', OLD]], 'the unit makes a new one')
  t.same(movesOf('main', RESET, true, undefined), [])
  t.same(movesBack('main', UNDO, true), [
    ['main', AWAY],
    [OLD, 'main'],
  ])
  t.same(movesBack('main', UNDO, false), [[OLD, 'main']], 'there is none to be set aside')
})

t.test('which clusters are not emptied', async t => {
  const code = (other: Parameters<typeof site>[0], ...given: string[]): number => {
    try {
      refuseUnfit(flags(...given), site(other))
      return 0
    } catch (error) {
      if (error instanceof Failure) return error.code
      throw error
    }
  }
  const standby = { server: { ...SERVER, inRecovery: true } }
  t.equal(code({}), 0)
  t.equal(code(standby), 78, 'a standby')
  t.equal(code({ ...standby, journal: RESET, folder: beside(OLD) }), 78, 'also in the middle of a reset')
  t.equal(code({ folder: MISSING }), 78, 'without a data folder')
  t.equal(code({ folder: MISSING }, 'no-backup'), 78)
  t.equal(code(DOWN), 69, 'down, and a backup wanted')
  t.equal(code(DOWN, 'no-backup'), 0)
  t.equal(code({ ...DOWN, journal: RESET }), 0, 'the backup is made already')
  t.equal(code({ ...DOWN, journal: { ...RESET, prepared: false } }), 69)
  t.equal(code({ ...DOWN, journal: { ...RESET, prepared: false } }, 'no-backup'), 0)
  t.equal(code({ ...DOWN, journal: RESET, folder: MISSING }), 78, 'neither in its place nor set aside')
  t.equal(code({ ...DOWN, journal: RESET, folder: { ...MISSING, ...beside(OLD) } }), 0)
  t.equal(code({ ...DOWN, journal: UNDO }), 0, 'the undo is finished first, and brings the server')
  const silent = { ...DOWN, silence: new Failure(75, { message: 'connect', cause: 'starting', hint: '' }) }
  t.equal(code({ ...silent, journal: RESET }), 75, 'it is there, and may have what the backup has not')
  t.equal(code({ ...silent, journal: RESET }, 'no-backup'), 0)
  t.equal(code({ ...silent, journal: RESET, folder: beside(OLD) }), 0, 'what has happened needs no server')
  t.equal(code({ ...standby, journal: UNDO }), 0)
  t.equal(code({ ...DOWN, journal: UNDO, folder: MISSING }, 'no-backup'), 0, 'the undo is finished first')
})

t.test('what an undo takes', async t => {
  const chosen = (other: Parameters<typeof site>[0], wanted?: string): unknown => choose(site(other), wanted)
  const refused = (
    other: Parameters<typeof site>[0],
    wanted: string | undefined,
    reason: RegExp,
    hint: RegExp,
  ) => t.throws(() => choose(site(other), wanted), { code: 78, reason, hint })
  t.equal(chosen({ folder: beside(OLD, LATER) }), LATER, 'the newest')
  t.equal(chosen({ folder: beside(OLD, LATER) }, OLD), OLD, 'the one that is said')
  t.equal(chosen({ folder: beside(OLD, AWAY) }, AWAY), AWAY)
  refused(
    { folder: beside(OLD) },
    LATER,
    /there is no folder "main\.before-reset-2026-02/,
    /There are: main\.before-reset-2026-01/,
  )
  refused({}, 'main', /there is no folder "main"/, /none at all/)
  refused({ folder: beside(FRESH) }, FRESH, /no folder/, /none at all/)
  refused({ folder: beside(PURGED) }, PURGED, /no folder/, /none at all/)
  refused({}, undefined, /there is none in \/var\/lib\/postgresql\/16/, /restore-postgres/)
  refused({ folder: beside(FRESH, PURGED) }, undefined, /there is none/, /restore-postgres/)
  for (const major of [15, null]) {
    refused({ folder: { beside: folders([OLD], major) } }, undefined, /there is none/, /restore-postgres/)
    refused({ folder: { beside: folders([OLD], major) } }, OLD, /no folder/, /none at all/)
  }
  refused(
    { folder: beside(OLD, AWAY) },
    undefined,
    /undone already, at 2026-03-01/,
    /--undo-to NAME: main\.before-undo.*, main\.before-reset/,
  )
  t.equal(chosen({ folder: { ...MISSING, ...beside(OLD, AWAY) } }), AWAY, 'there is no other data')
  // What was begun says which folder it is.
  t.equal(chosen({ journal: RESET, folder: beside(OLD, LATER) }), OLD)
  t.equal(chosen({ journal: RESET, folder: beside(LATER) }), undefined, 'nothing was moved')
  t.equal(chosen({ journal: RESET, folder: beside(OLD, LATER) }, LATER), LATER)
  t.equal(chosen({ journal: UNDO, folder: beside(LATER) }), OLD)
})

t.test('what an undo says that it does', async t => {
  const says = (other: Parameters<typeof site>[0], wanted?: string) => describeUndo(site(other), wanted)
  t.equal(says({ folder: beside(OLD) }), `put /var/lib/postgresql/16/${OLD} back as its data`)
  t.match(says({ journal: UNDO, folder: beside(OLD) }), /^put /)
  t.match(says({ journal: UNDO, folder: beside(AWAY) }), /^finish the undo of .*: start/)
  t.match(says({ journal: UNDO, folder: beside(AWAY) }, AWAY), /^put .*before-undo/)
  t.match(says({ journal: RESET }), /^start what the interrupted reset had stopped$/)
})

t.test('which undo is finished before anything else', async t => {
  t.equal(isToBeFinished(UNDO, undefined), true)
  t.equal(isToBeFinished(UNDO, OLD), true)
  t.equal(isToBeFinished(UNDO, LATER), false)
  t.equal(isToBeFinished(RESET, undefined), false)
  t.equal(isToBeFinished(RESET, OLD), false)
  t.equal(isToBeFinished(undefined, undefined), false)
})

t.test('what a purge takes', async t => {
  const all = [OLD, LATER, AWAY, FRESH, PURGED]
  t.same(foldersToPurge(site({ folder: beside(...all) })), [FRESH, PURGED, AWAY, LATER, OLD])
  t.same(
    foldersToPurge(site({ folder: { beside: folders(all, null) } })),
    [FRESH, PURGED],
    'what holds no data is left',
  )
  t.same(foldersToPurge(site({ folder: { beside: folders(all, 15) } })), [FRESH, PURGED, AWAY, LATER, OLD])
  t.same(foldersToPurge(site()), [])
  const interrupted = (journal: typeof RESET | typeof UNDO, reason: RegExp) =>
    t.throws(() => foldersToPurge(site({ journal, folder: beside(OLD) })), {
      code: 78,
      reason,
      hint: /^Finish it first: .*reset-psql-safe --undo$/,
    })
  interrupted(RESET, /^a reset of 2026-01-01T00:00:00.000Z was interrupted/)
  interrupted(UNDO, /^an undo of /)
  t.same(
    leftFresh(site({ folder: beside(...all) })),
    [FRESH],
    'a run takes away only what a killed one was making',
  )
})

t.test('a folder that is being deleted is none of data', async t => {
  t.equal(purgedName('main', OLD), 'main.purged-2026-01-01T00-00-00Z')
  t.equal(purgedName('main', PURGED), PURGED)
  const odd = purgedName('a-2020-b', 'a-2020-b.before-undo-2026-01-01T00-00-00Z')
  t.equal(parseBeside('a-2020-b', odd)?.kind, 'purged', 'the next purge knows it')
})

t.test('whether something was moved, the disk says', async t => {
  t.equal(saysMoved(beside(OLD), RESET), true)
  t.equal(saysMoved(beside(LATER), RESET), false)
  t.equal(saysMoved(beside(OLD, AWAY), UNDO), false)
  t.equal(saysMoved(beside(AWAY), UNDO), true)
})

t.test('what is left to be finished where nothing was moved', async t => {
  t.equal(unfinished(undefined, RESET), undefined)
  t.equal(unfinished(RESET, { ...RESET, aside: LATER }), undefined, 'it was given up with the same work')
  t.equal(unfinished(RESET, UNDO), RESET)
  t.equal(unfinished(UNDO, RESET), UNDO)
  t.equal(unfinished(UNDO, UNDO), undefined)
})

t.test('a failure says what has become of the data', async t => {
  const failure = new Failure(74, { message: 'do it', cause: 'so', hint: 'Mend it.' })
  const moved = {
    code: 74,
    message: 'do it',
    reason: 'so',
    hint: /^Mend it\. No data is lost.*--undo goes back\.$/,
  }
  t.match(withState(failure, true), moved)
  t.match(withState(failure, false), {
    code: 74,
    hint: /^Mend it\. Nothing was moved: the data is where it was\.$/,
  })
  t.match(unstarted(RESET, ['a.service']), {
    code: 69,
    reason: /the reset is done, but this unit does not start/,
  })
  t.match(unstarted(UNDO, ['a', 'b']), {
    code: 69,
    reason: /^the undo is done, but these/,
    hint: /-u a -u b/,
  })
})

t.test("the host's name, letter by letter", async t => {
  t.doesNotThrow(() => judge('do it', 'gc-10', 'gc-10'))
  for (const answer of [
    '',
    'gc-1',
    'gc-100',
    'GC-10',
    'gc-10 ',
    'y',
    'yes',
    hostname().concat('x'),
    undefined,
  ])
    t.throws(() => judge('do it', 'gc-10', answer), {
      code: 64,
      message: 'do it',
      hint: /Nothing was touched/,
    })
  t.throws(() => judge('do it', 'gc-10', undefined), { code: 64, reason: /was not typed/ })
  t.throws(() => judge('do it', 'gc-10', '\u001b[2J'), {
    code: 64,
    reason: 'this host is "gc-10", not "\\u001b[2J"',
  })
})
