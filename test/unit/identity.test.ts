import { spawnSync } from 'node:child_process'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  changesIds,
  effectiveUid,
  needsNoChange,
  withIds,
  withUid,
  worksForRoot,
} from '../../lib/host/identity.ts'
import { CHECKOUT } from '../support/checkout.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'

const ids = (): unknown => ({
  uid: process.geteuid?.(),
  gid: process.getegid?.(),
  groups: [...(process.getgroups?.() ?? [])].sort(),
})

t.test('work as another account has its ids and groups, and everything is given back', needsIds, t => {
  const [stranger, service, group] = [
    accountOf('stranger'),
    accountOf('endoreg-service-user'),
    accountOf('admin').gid,
  ]
  const before = { gid: process.getegid?.() ?? 0, groups: process.getgroups?.() ?? [] }
  t.teardown(() => {
    process.setegid?.(before.gid)
    process.setgroups?.(before.groups)
  })
  process.setgroups?.([4711, 4712])
  process.setegid?.(group)
  const own = ids()
  t.match(own, { uid: 0, gid: group })
  const works: readonly ((work: () => unknown) => unknown)[] = [
    work => withIds(stranger, work),
    work => withUid(stranger, work),
  ]
  for (const work of works) {
    t.equal(
      work(() => 'done'),
      'done',
    )
    t.same(ids(), own)
    t.throws(
      () =>
        work(() => {
          throw new Error('it failed')
        }),
      { message: 'it failed' },
    )
    t.same(ids(), own, 'also where it fails')
  }
  t.same(withIds(stranger, ids), { uid: stranger.uid, gid: stranger.gid, groups: [stranger.gid] })
  const groups = withIds(service, () => process.getgroups?.() ?? [])
  t.ok(groups.length >= 2 && groups.includes(service.gid), 'with the groups it is a member of')
  t.notOk(groups.includes(4711), "and none of root's")
  t.same(withUid(stranger, ids), { uid: stranger.uid, gid: group, groups: [4711, 4712, group] })
  t.match(withIds({ name: 'nosuchaccount', uid: 987_654, gid: 987_654 }, ids), { groups: [987_654] })
  t.same(ids(), own, 'also where no such account is known')
  t.end()
})

t.test('files that are made meanwhile are of that account', needsIds, t => {
  const stranger = accountOf('stranger')
  const top = scratch(t)
  t.throws(() => withIds(stranger, () => writeFileSync(join(top, 'x'), '')), { code: 'EACCES' })
  writeFileSync(join(top, 'y'), '')
  t.equal(statSync(join(top, 'y')).uid, 0, 'and afterwards of root again')
  t.end()
})

t.test('who needs other ids, and for whom it works', needsIds, t => {
  const stranger = accountOf('stranger')
  t.equal(changesIds(), true)
  t.equal(effectiveUid(), 0)
  t.equal(needsNoChange(stranger), false)
  t.equal(needsNoChange({ name: 'root', uid: 0, gid: 0 }), true)
  t.equal(worksForRoot(), true)
  t.same(
    withIds(stranger, () => [effectiveUid(), needsNoChange(accountOf('admin')), worksForRoot()]),
    [stranger.uid, true, true],
  )
  t.end()
})

/** What a process of its own, begun with `command`, prints after `script`. */
function print(command: readonly string[], script: string): string {
  const [program = '', ...args] = [
    ...command,
    process.execPath,
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
  ]
  const { status, stdout, stderr } = spawnSync(program, [...args, script], {
    cwd: CHECKOUT,
    env: { PATH: process.env['PATH'], TSX_DISABLE_CACHE: '1' },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`it ended with ${status}: ${stderr}`)
  return stdout.trim()
}

t.test('an account follows its own links, but not where root has started it', needsRoot, t => {
  const { uid, gid } = accountOf('stranger')
  const top = scratch(t)
  const script = `
    import { mkdirSync, symlinkSync } from 'node:fs'
    import { openFolder } from './lib/host/folder.ts'
    import { needsNoChange, startedForRoot, worksForRoot } from './lib/host/identity.ts'
    const folder = '${top}/theirs'
    mkdirSync(folder + '/target', { recursive: true })
    symlinkSync('target', folder + '/link')
    const follow = () => { try { return openFolder(folder + '/link').path === folder + '/target' } catch (error) { return error.code } }
    const before = [worksForRoot(), follow(), needsNoChange({ name: 'x', uid: 1, gid: 1 })]
    startedForRoot()
    console.log(JSON.stringify([before, [worksForRoot(), follow()]]))`
  spawnSync('chmod', ['777', top])
  spawnSync('install', ['-d', '-o', String(uid), '-g', String(gid), join(top, 'theirs')])
  spawnSync('chmod', ['755', top])
  const account = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
  t.same(JSON.parse(print(account, script)), [
    [false, true, true],
    [true, 78],
  ])
  t.end()
})

t.test("the owner's rights are taken where root lacks one of those that open folders", needsIds, t => {
  const { uid, gid } = accountOf('stranger')
  const script = `
    import * as v from 'valibot'
    import { job } from './lib/host/job.ts'
    import { Failure } from './lib/frame/failure.ts'
    const uids = []
    const account = { name: 'stranger', uid: ${uid}, gid: ${gid} }
    const errors = [
      Object.assign(new Error(), { code: 'EACCES' }), Object.assign(new Error(), { code: 'EPERM' }),
      new Failure(77, { message: '', cause: '', hint: '' }), new Failure(78, { message: '', cause: '', hint: '' }),
      Object.assign(new Error(), { code: 'ENOENT' }), new Error('a bug'),
    ]
    const work = job('of a test', [v.number()], v.void(), index => {
      uids.push(process.geteuid())
      throw errors[index]
    })
    const said = []
    for (const [index] of errors.entries()) {
      uids.length = 0
      try { work.withRightsOf(account, index) } catch {}
      said.push(uids.length)
      uids.length = 0
      await (await work.armWithRightsOf(account, index)).fire().catch(() => {})
      said.push(uids.length)
    }
    uids.length = 0
    try { work.withRightsOf({ name: 'root', uid: 0, gid: 0 }, 0) } catch {}
    said.push(uids.length)
    console.log(JSON.stringify(said))`
  const twice = [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
  const once = twice.map(() => 1)
  for (const [lacking, expected] of [
    ['', once],
    ['-dac_override', twice],
    ['-fowner', twice],
    ['-dac_read_search', once],
  ] as const) {
    const rights = lacking === '' ? [] : ['setpriv', `--bounding-set=${lacking}`, '--']
    t.same(JSON.parse(print(rights, script)), expected, lacking)
  }
  t.end()
})
