import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { arm, connectAs, delegate, toJson } from '../../lib/host/as-account.ts'
import { remove } from '../../lib/host/file.ts'
import { withHelpers } from '../../lib/host/helpers.ts'
import { readVault } from '../../lib/provision/vault.ts'
import { BIN } from '../support/checkout.ts'
import { until } from '../support/cluster.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, scratch } from '../support/scratch.ts'

const launcher = join(BIN, '../lib/as-account')
const path = process.env['PATH'] ?? ''

/** As in a command of bin/, whose launcher's neighbour is started. */
function asCommand(t: { teardown: (work: () => unknown) => void }): void {
  const [, script = ''] = process.argv
  process.argv[1] = join(BIN, 'a-command')
  t.teardown(() => {
    process.argv[1] = script
    process.env['PATH'] = path
  })
}

/** Puts a setpriv(1) first on the PATH that is this script of sh. */
function inPlaceOfSetpriv(folder: string, script: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'bin/setpriv'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  process.env['PATH'] = `${join(folder, 'bin')}:${path}`
}

t.test('a child has the rights of its account, its groups, and none of root', needsRoot, async t => {
  asCommand(t)
  const [stranger, service] = [accountOf('stranger'), accountOf('endoreg-service-user')]
  const top = scratch(t)
  mkdirSync(join(top, 'theirs/target'), { recursive: true })
  for (const name of ['theirs', 'theirs/target']) chownSync(join(top, name), stranger.uid, stranger.gid)
  writeFileSync(join(top, 'roots'), 'for root only\n', { mode: 0o600 })
  writeFileSync(join(top, 'groups'), 'for the group\n', { mode: 0o640 })
  writeFileSync(join(top, 'theirs/target/x'), 'theirs\n', { mode: 0o600 })
  chownSync(join(top, 'theirs/target/x'), stranger.uid, stranger.gid)
  const member = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find(line => line.startsWith('sensitiveServices:'))
  chownSync(join(top, 'groups'), 0, Number(member?.split(':')[2]))
  const read = (account: typeof stranger, name: string): unknown =>
    delegate(account, 'read vault', [join(top, name), null])

  t.same(read(stranger, 'theirs/target/x'), new Password('theirs'))
  t.throws(() => read(stranger, 'roots'), { code: 78, reason: 'it is not readable for stranger' })
  t.throws(() => read(stranger, 'groups'), { code: 78, reason: 'not readable' })
  t.same(read(service, 'groups'), new Password('for the group'))
  const number = { ...service, name: String(service.uid) }
  t.throws(() => read(number, 'groups'), { code: 78 }, 'a number has no groups')
  symlinkSync('target', join(top, 'theirs/link'))
  t.throws(() => read(stranger, 'theirs/link/x'), { code: 78, reason: 'is a link in a folder that' })
  t.throws(() => delegate(stranger, 'no such job', []), { message: 'there is no job no such job' })
  t.throws(() => delegate(stranger, 'read vault', [1, 2, 3]), { message: /Invalid|Expected/ })

  const waiting = await arm(stranger, 'remove', [join(top, 'theirs/target/x')])
  t.ok(existsSync(join(top, 'theirs/target/x')), 'what is armed waits')
  waiting.discard()
  const fired = await arm(stranger, 'remove', [join(top, 'theirs/target/x')])
  t.ok(existsSync(join(top, 'theirs/target/x')), 'what is discarded is not done')
  await fired.fire()
  t.notOk(existsSync(join(top, 'theirs/target/x')))
})

t.test('a job that was not asked for to its end is not done', t => {
  const top = scratch(t)
  writeFileSync(join(top, 'x'), '')
  const job = (text: string): string =>
    spawnSync(launcher, ['job'], { input: text, encoding: 'utf8', env: { PATH: path } }).stdout
  const asked = toJson({ name: 'remove', args: [join(top, 'x')] })
  t.equal(job(asked), '\n', 'it says that it was ready, and nothing else')
  t.ok(existsSync(join(top, 'x')))
  t.match(job(`${toJson({ name: 'remove', args: [join(top, 'x')], more: 1 })}\n`), /"kind":"bug"/)
  t.match(job(`${asked.slice(0, -5)}\n`), /"kind":"bug"/)
  t.ok(existsSync(join(top, 'x')))
  t.match(job(`${asked}\n${asked.slice(0, -5)}`), /^\n\{.*\}\n$/, 'nor what is cut off behind it')
  t.notOk(existsSync(join(top, 'x')))
  t.end()
})

t.test('a child gets a session of its own, the ids of its account, and the PATH', needsRoot, async t => {
  asCommand(t)
  const top = scratch(t)
  const { uid, gid, ...service } = accountOf('endoreg-service-user')
  inPlaceOfSetpriv(
    top,
    `env -0 >${top}/env; { pwd; echo "$@"; } >${top}/log.$$ 2>&1; mv ${top}/log.$$ ${top}/log; PATH=${path}; exec setpriv "$@"`,
  )
  process.env['ENDOREG_SECRET'] = 'topsecret'
  t.teardown(() => {
    delete process.env['ENDOREG_SECRET']
  })
  const log = (): string => readFileSync(join(top, 'log'), 'utf8')
  const ids = (groups: string): RegExp =>
    new RegExp(
      `^/\\n--reuid=${uid} --regid=${gid} --${groups}-groups --pdeathsig KILL -- ${launcher} (?:job|connect .*)$`,
      'm',
    )
  // What sh(1) sets itself, and what tap gives to every process that a test starts.
  const allowed = /^(?:PATH|LC_ALL|PWD|OLDPWD|SHLVL|_|NODE_OPTIONS|_TAPJS\w*)=/
  const environment = (): string[] =>
    readFileSync(join(top, 'env'), 'utf8')
      .split('\0')
      .filter(entry => entry !== '' && !allowed.test(entry))

  t.equal(delegate({ uid, gid, ...service }, 'look for', [top]), true)
  t.match(log(), ids('init'))
  t.same(environment(), [])
  delegate({ uid, gid, name: String(uid) }, 'look for', [top])
  t.match(log(), ids('clear'))

  await (await arm({ uid, gid, ...service }, 'look for', [top])).fire()
  t.match(log(), ids('init'))
  t.same(environment(), [])

  const socket = join(top, 'socket')
  const server = createServer(client => client.end('hello')).listen(socket)
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  chmodSync(socket, 0o777)
  const connection = await connectAs({ uid, gid, ...service }, socket, 60_000)
  t.equal(await new Promise(resolve => connection.once('data', bytes => resolve(String(bytes)))), 'hello')
  t.match(log(), ids('init'))
  t.same(
    environment().filter(line => !line.startsWith('NODE_CHANNEL_')),
    [],
  )
  rmSync(socket, { force: true })
  await t.rejects(connectAs({ uid, gid, ...service }, socket, 60_000), { code: 'ENOENT' })
})

t.test(
  'a helper does one job after another, and one that fails or is killed is none of the others',
  needsRoot,
  async t => {
    asCommand(t)
    const [stranger, service] = [accountOf('stranger'), accountOf('endoreg-service-user')]
    const top = scratch(t)
    writeFileSync(join(top, 'roots'), 'for root only\n', { mode: 0o600 })
    writeFileSync(join(top, 'theirs'), 'ä'.repeat(40_000), { mode: 0o600 })
    chownSync(join(top, 'theirs'), stranger.uid, stranger.gid)
    // It becomes setpriv, sh and node in turn: the process stays the same.
    inPlaceOfSetpriv(top, `echo $$ >>${top}/pids; PATH=${path}; exec setpriv "$@"`)
    const pids = (): number[] => readFileSync(join(top, 'pids'), 'utf8').trim().split('\n').map(Number)
    const tail = 'read tail'

    await withHelpers(async helpers => {
      const asked = [
        helpers.ask(stranger, tail, [join(top, 'theirs')]),
        helpers.ask(stranger, 'read vault', [join(top, 'roots'), null]),
        helpers.ask(stranger, 'no such job', []),
        helpers.ask(stranger, 'look for', [top]),
      ] as const
      await t.rejects(asked[1], { code: 78, reason: 'it is not readable for stranger' })
      await t.rejects(asked[2], { message: 'there is no job no such job' })
      t.match(await asked[0], /^ä+$/u)
      t.equal(await asked[3], true)
      t.equal(await helpers.ask(stranger, tail, [join(top, 'roots')]), '')
      t.equal(pids().length, 1, 'one process for all of an account')
      t.equal(await helpers.ask(service, tail, [join(top, 'theirs')]), '', 'and none for two accounts')
      t.equal(pids().length, 2)

      const [first = 0] = pids()
      process.kill(first, 'SIGKILL')
      const killed = helpers.ask(stranger, 'look for', [top])
      const next = helpers.ask(stranger, 'look for', [top])
      await t.rejects(killed, { code: 75, reason: 'the process that does it was ended by SIGKILL' })
      t.equal(await next, true)
      t.equal(pids().length, 3)
    })
    await until(async () => pids().every(pid => !existsSync(`/proc/${pid}`)) || undefined, 'all have ended')

    const unfinished: Promise<unknown>[] = []
    await t.rejects(
      withHelpers(async helpers => {
        await helpers.ask(stranger, 'look for', [top])
        for (let index = 0; index < 2; index++) unfinished.push(helpers.ask(stranger, 'look for', [top]))
        for (const one of unfinished) one.catch(() => {})
        throw new Error('of the work')
      }),
      { message: 'of the work' },
    )
    for (const one of unfinished)
      await t.rejects(one, { code: 75, reason: 'the process that does it was ended' })
    await until(async () => pids().every(pid => !existsSync(`/proc/${pid}`)) || undefined, 'all have ended')
  },
)

t.test('what a child answers is looked at before it is believed', needsRoot, async t => {
  asCommand(t)
  const stranger = accountOf('stranger')
  const top = scratch(t)
  // This Node.js is told that it cannot change ids, so that jobs go to a child.
  const { seteuid } = process
  process.seteuid = () => {
    throw Object.assign(new Error('refused'), { code: 'ERR_INVALID_STATE' })
  }
  t.teardown(() => {
    Reflect.set(process, 'seteuid', seteuid)
  })
  const noAnswer = {
    code: 75,
    message: 'work with the rights of stranger',
    reason: 'gave no answer that can be read',
  }
  const answers: readonly [
    script: string,
    expected:
      | { message: string }
      | { code: number; reason: string }
      | { code: number; hint: string }
      | { code: string },
  ][] = [
    ['echo', noAnswer],
    ["echo '{}{}'", noAnswer],
    ['echo \'{"result":"one","more":1}\'', noAnswer],
    ['echo \'{"result":"a text and no password"}\'', noAnswer],
    ['echo \'{"result":{"$bytes":"AAAA"}}\'', noAnswer],
    ['echo \'{"result":true}\'', noAnswer],
    ['echo \'{"failure":{"kind":"system","errno":"EACCES"}}\'', noAnswer],
    ['echo \'{"failure":{"kind":"understood","code":0,"message":"m","cause":"c","hint":"h"}}\'', noAnswer],
    ['echo \'{"failure":{"kind":"understood","code":1,"message":"m","cause":"c","hint":"h"}}\'', noAnswer],
    [
      'echo \'{"failure":{"kind":"understood","code":69,"message":"m","cause":"c","hint":"h"}}\'',
      { code: 69, message: 'm', reason: 'c', hint: 'h' },
    ],
    ['echo \'{"failure":{"kind":"system","errno":"EIO","message":"m"}}\'', { code: 'EIO', message: 'm' }],
    ['echo \'{"failure":{"kind":"bug","stack":"at x"}}\'', { message: 'at x' }],
    [
      'echo; echo first >&2; echo why >&2; exit 3',
      { code: 69, message: 'start a process with the rights of stranger', reason: 'why' },
    ],
    ['exit 1', { code: 69, reason: 'it ended without an answer' }],
    ['echo \'{"result":{"$password":"x"}}\'; exit 1', { code: 69, reason: 'it ended' }],
    ['kill -9 $$', { code: 75, reason: 'the process that does it was ended by SIGKILL' }],
  ]
  for (const [script, expected] of answers) {
    inPlaceOfSetpriv(top, `cat >/dev/null; ${script}`)
    t.throws(() => readVault.as(stranger, '/x', null), expected, script)
    inPlaceOfSetpriv(top, `echo; cat >/dev/null; ${script}`)
    const armed = await readVault.armAs(stranger, '/x', null)
    await t.rejects(armed.fire(), expected, `${script}, armed`)
  }
  const later = (script: string): Promise<Password> => {
    inPlaceOfSetpriv(top, `echo; read -r asked; ${script}`)
    return withHelpers(helpers => readVault.laterAs(helpers, stranger, '/x', null))
  }
  t.same(await later('echo \'{"result":{"$password":"x"}}\'; cat >/dev/null'), new Password('x'))
  for (const script of [
    'echo',
    "echo '{}{}'",
    'echo \'{"result":"a text and no password"}\'',
    'printf {',
    'true',
  ])
    await t.rejects(later(script), noAnswer, `${script}, of a helper`)
  await t.rejects(later('yes | tr -d "\\n"'), noAnswer, 'without an end')
  await t.rejects(later('kill -9 $$'), { code: 75, reason: 'the process that does it was ended by SIGKILL' })
  await t.rejects(later('echo why >&2; exit 3'), { code: 69, reason: 'why' })
  inPlaceOfSetpriv(top, 'cat >/dev/null; echo \'{"result":{"$password":"x"}}\'')
  t.equal(readVault.as(stranger, '/x', null).reveal(), 'x')
  inPlaceOfSetpriv(top, 'exit 1')
  await t.rejects(connectAs(stranger, '/x', 60_000), { code: 69, reason: 'it ended without an answer' })
  inPlaceOfSetpriv(top, 'kill -9 $$')
  await t.rejects(connectAs(stranger, '/x', 60_000), { code: 'ETIMEDOUT' })
  rmSync(join(top, 'bin/setpriv'))
  process.env['PATH'] = join(top, 'bin')
  t.throws(() => remove.as(stranger, '/x/y'), { code: 69, hint: 'setpriv' })
  const removing = withHelpers(helpers => remove.laterAs(helpers, stranger, '/x/y'))
  await t.rejects(removing, { code: 69, hint: 'setpriv' })
})
