import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { Report } from '../../lib/frame/report.ts'
import type { Account } from '../../lib/host/identity.ts'
import { runAs } from '../../lib/host/shell.ts'
import { programsOf } from '../../lib/provision/git.ts'
import { performAs } from '../../lib/reset/make.ts'
import { isRoot } from '../support/command.ts'
import { accountOf, scratch } from '../support/scratch.ts'

const me: Account = { name: 'me', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const service = isRoot ? accountOf('endoreg-service-user') : me

/** Everything but what tap gives to every process that a test starts. */
const environment = (text: string): string[] =>
  text
    .split('\0')
    .filter(line => line !== '' && !/^(?:NODE_OPTIONS|_TAPJS\w*|PWD|OLDPWD|SHLVL|_)=/.test(line))
    .sort()

const status = (text: string, key: string): string =>
  new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''

t.test(
  'a program of another account has its ids and groups, a session of its own, and nothing of ours',
  async t => {
    process.env['ENDOREG_SECRET'] = 'topsecret'
    t.teardown(() => {
      delete process.env['ENDOREG_SECRET']
    })
    const found = await runAs(service, ['sh', '-c', 'cat /proc/self/status; pwd'])
    t.equal(found.code, 0)
    t.match(found.out, /^\/$/m)
    if (isRoot) {
      t.equal(status(found.out, 'Uid'), Array(4).fill(service.uid).join('\t'))
      t.equal(status(found.out, 'Gid'), Array(4).fill(service.gid).join('\t'))
      const groups = status(found.out, 'Groups').trim().split(' ')
      t.ok(groups.length === 2 && groups.includes(String(service.gid)), groups.join())
      t.equal(status(found.out, 'CapEff'), '0000000000000000', "none of root's rights")
    }
    const session = await runAs(service, ['sh', '-c', 'cat /proc/self/stat'])
    t.not(
      session.out.split(') ')[1]?.split(' ')[3],
      readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[3],
    )
    const { out } = await runAs(service, ['env', '-0'])
    t.same(environment(out), ['LC_ALL=C', `PATH=${process.env['PATH']}`])
  },
)

t.test('how it ended, and what it said', async t => {
  t.same(await runAs(service, ['sh', '-c', 'echo out; echo one >&2; echo two >&2; exit 3']), {
    code: 3,
    out: 'out\n',
    err: 'one\ntwo\n',
    said: 'two',
  })
  const said = async (text: string): Promise<string> =>
    (await runAs(me, ['sh', '-c', `printf '${text}' >&2`])).said
  t.equal(await said('begin\\ninitdb: error: no room\\nremoving contents\\n'), 'initdb: error: no room')
  t.equal(await said('x\\nPANIC: y\\nFATAL: z\\n'), 'PANIC: y')
  t.equal(await said('terror: x\\n  last  \\n\\n'), 'last')
  t.equal(await said(''), '')
  const fails = (script: string): Promise<void> => performAs(service, 'do it', 'sh', '-c', script)
  await t.rejects(fails('echo why >&2; exit 1'), { code: 69, message: 'do it', reason: 'why', hint: 'Mend' })
  await t.rejects(fails('exit 4'), { code: 69, reason: 'sh ended with 4' })
  for (const full of ['No space left on device', 'Disk quota exceeded'])
    await t.rejects(fails(`echo "x: ${full}" >&2; exit 1`), { code: 74, reason: full, hint: 'df -h' })
  await t.rejects(runAs(service, ['sh', '-c', 'head -c 4200000 /dev/zero']), {
    code: 69,
    message: 'run sh with the rights of',
  })
  const { PATH } = process.env
  process.env['PATH'] = '/nowhere'
  t.teardown(() => {
    process.env['PATH'] = PATH
  })
  await t.rejects(runAs(service, ['sh']), { code: 69, hint: 'setpriv' })
})

t.test('git has the home of its account, asks nobody, and sees no other repository', async t => {
  const top = scratch(t)
  const report = new Report({ command: 'test', check: false, json: false, face: 'plain' })
  const run = { report, deadline: new Deadline(60, systemClock) }
  const foreign = [
    'DIR',
    'WORK_TREE',
    'INDEX_FILE',
    'OBJECT_DIRECTORY',
    'ALTERNATE_OBJECT_DIRECTORIES',
    'NAMESPACE',
  ]
  const given: Record<string, string> = {
    ...Object.fromEntries(foreign.map(name => [`GIT_${name}`, '/elsewhere'])),
    GIT_TERMINAL_PROMPT: '1',
    GIT_ASKPASS: '/bin/true',
    SSH_ASKPASS: '/bin/true',
    LC_ALL: 'de_DE.UTF-8',
    HOME: '/elsewhere',
    GIT_AUTHOR_NAME: 'kept',
    https_proxy: 'http://proxy.example.org:3128',
    HTTP_PROXY: 'http://me:secret@proxy.example.org:3128',
  }
  const before = { ...process.env }
  t.teardown(() => {
    for (const name of Object.keys(given)) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
  Object.assign(process.env, given)
  const programs = programsOf(run, service, top)
  const { out } = await programs(60_000, 'env', '-0')
  const lines = environment(out)
  t.notOk(
    lines.some(line => line.endsWith('=/elsewhere')),
    lines.join(),
  )
  for (const line of [
    'GIT_TERMINAL_PROMPT=0',
    'GIT_ASKPASS=/bin/false',
    'SSH_ASKPASS=/bin/false',
    'LC_ALL=C',
    'https_proxy=http://proxy.example.org:3128',
  ])
    t.ok(lines.includes(line), line)
  t.equal(
    lines.includes('GIT_AUTHOR_NAME=kept'),
    !isRoot,
    'of its own account all goes on, and of root nothing',
  )
  t.equal(
    lines.some(line => line.includes('secret')),
    !isRoot,
  )
  t.ok(lines.includes('GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=10'))
  t.ok(out.split('\0').includes(`PWD=${top}`))
  t.equal((await programs(60_000, 'pwd')).out, top)
  const found = await programs(60_000, 'cat', '/proc/self/status')
  if (isRoot) {
    t.equal(status(found.out, 'Uid'), Array(4).fill(service.uid).join('\t'))
    t.equal(status(found.out, 'Gid'), Array(4).fill(service.gid).join('\t'))
    t.equal(status(found.out, 'Groups').trim().split(' ').length, 2, 'its groups, and none of root')
  }
  t.equal((await programs(60_000, 'cat')).out, '', 'there is nothing to read')
  const said = async (text: string): Promise<unknown> => {
    writeFileSync(join(top, 'said'), text)
    return programs(60_000, 'sh', '-c', 'cat said >&2; exit 2')
  }
  t.same(await said('hint: x\nfatal: why\nlast\n'), { code: 2, out: '', said: 'fatal: why' })
  t.match(await said('a\nerror: why\nfatal: late\n'), { said: 'error: why' })
  t.match(await said('a fatal: no\n\n  last  \n'), { said: 'last' })
  t.match(await said(''), { said: 'it said nothing' })
  t.match(await said('fatal: https://me:secret@example.org/x and ssh://token@host: no\n'), {
    said: 'fatal: https://example.org/x and ssh://host: no',
  })
  t.match(await programs(50, 'sleep', '60'), { said: 'it did not end within 0.05 s' })
  const { code } = await programs(60_000, 'no-such-program')
  t.ok(code === 127 || code === 126, String(code))
})
