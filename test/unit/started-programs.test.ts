import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { finish, finishSync } from '../../lib/host/shell.ts'
import { outputOf } from '../support/output.ts'
import { nodeWith } from '../support/pool.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DOOR = 'lib/host/shell.ts'

/** The sources of the commands, by their paths in the checkout. */
const SOURCES = ['bin', 'lib'].flatMap(folder =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => [`${folder}/${name}`, readFileSync(join(ROOT, folder, name), 'utf8')] as const),
)

const count = (text: string, pattern: RegExp): number => [...text.matchAll(pattern)].length

/** The sources that have `pattern` in them. */
const having = (pattern: RegExp): string[] =>
  SOURCES.filter(([, text]) => pattern.test(text)).map(([path]) => path)

t.test('one place starts programs, and it starts every one apart', async t => {
  t.same(having(/'(?:(?:node:)?child_process|node:(?:cluster|worker_threads))'/), [DOOR])
  // The other one hands it the bundle of zx.
  t.same(having(/'zx\b[^']*'/), ['lib/start.ts', DOOR])
  const [, text = ''] = SOURCES.find(([path]) => path === DOOR) ?? []
  const spawned = count(text, /\bchildProcess\(\)(?! =>|: )/g)
  const apart = count(text, /\bchildProcess\(\)\.spawn(?:Sync)?\(program, args, \{\s*\.\.\.apart\(/g)
  t.equal(apart, spawned, 'spawn or spawnSync, with what apart() gives, and nothing else')
  t.equal(spawned, 3)
  t.same(
    [...text.matchAll(/\$\(\{\s*(.*)\n\s*(.*)\n/g)].map(([, first, second]) => [first, second]),
    [['...PLAIN,', '...apart(env),']],
    'zx with what apart() gives, whatever the environment says to it',
  )
  t.equal(count(text, /\btied\(/g), spawned + 1, 'with the ids and the end that it is told')
  t.same(having(/\bstdio: [^\n]*'inherit'/), [], 'nobody passes an own descriptor on')
})

t.test('one place starts systemctl', async t => {
  t.same(having(/['"`]systemctl['"`]/), ['lib/host/units.ts'])
})

t.test('it has a session of its own, no terminal, and an environment that was made for it', async t => {
  process.env['ENDOREG_SECRET'] = 'topsecret'
  t.teardown(() => {
    delete process.env['ENDOREG_SECRET']
  })
  const look = ['sh', '-c', 'cat /proc/self/stat; pwd; env -0'] as const
  for (const { code, out } of [await finish(look, { env: { EXTRA: 'x' } }), finishSync(look, 60_000)]) {
    t.equal(code, 0)
    const [stat = '', folder, variables = ''] = out.split('\n')
    const [, , , session, terminal] = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
    t.not(session, readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[3])
    t.equal(terminal, '0')
    t.equal(folder, '/')
    const names = variables.split('\0').map(text => text.split('=')[0] ?? '')
    const others = names.filter(
      name => !/^(?:PATH|LC_ALL|EXTRA|NODE_OPTIONS|_TAPJS\w*|PWD|OLDPWD|SHLVL|_|)$/.test(name),
    )
    t.same(others, [])
  }
})

t.test('no descriptor that this process was started with goes on, however high', async t => {
  const script = `import { finish } from ${JSON.stringify(join(ROOT, DOOR))}
    console.log((await finish(['sh', '-c', 'ls -l /proc/$$/fd'])).out)`
  const [node, args] = nodeWith('--input-type=module', '--eval', script)
  const shell = `exec 7</etc/passwd 21</etc/passwd 163</etc/passwd; exec "$@"`
  const { out } = await outputOf(spawn('bash', ['-c', shell, 'bash', node, ...args]))
  t.match(out, /\b2 -> /)
  t.notMatch(out, /passwd/)
})

t.test('every argument arrives as it is', async t => {
  const all = Array.from({ length: 0x3ff }, (_, index) => String.fromCodePoint(index + 1)).join('')
  const args = [
    '',
    ' ',
    "'",
    "''",
    '$(id)',
    '`id`',
    '"$HOME"',
    '\\',
    '\n',
    '*',
    '~',
    '-n',
    'a=b',
    '\u{1f600}',
    all,
  ]
  const { out } = await finish(['printf', '%s\\0', ...args])
  t.same(out.split('\0').slice(0, -1), args)
  t.same((await finish(['sh', '-c', 'echo "$0 $#"'])).out, 'sh 0\n')
})

t.test('the environment of zx changes nothing', async t => {
  const script = `import { finish } from ${JSON.stringify(join(ROOT, DOOR))}
    console.log(JSON.stringify(await finish(['sh', '-c', 'echo out; echo err >&2'])))`
  const [node, args] = nodeWith('--input-type=module', '--eval', script)
  const env = {
    ...process.env,
    ZX_VERBOSE: 'true',
    ZX_PREFIX: 'echo before;',
    ZX_POSTFIX: '; echo after',
    ZX_SHELL: '/bin/false',
    ZX_TIMEOUT: '1ms',
    ZX_CWD: '/etc',
    ZX_PREFER_LOCAL: 'true',
  }
  const { out, err } = await outputOf(spawn(node, args, { env }))
  t.same(JSON.parse(out), { code: 0, out: 'out\n', err: 'err\n' })
  t.equal(err, '')
})

t.test('it is asked to end before it is cut off, and what it has done by then counts', async t => {
  const ends = (code: number): string =>
    `trap 'echo asked; exit ${code}' TERM; echo begun; while :; do sleep 0.05; done`
  const limits = { limit: 500, grace: 60_000 }
  t.match(await finish(['sh', '-c', ends(0)], limits), { code: 0, out: 'begun\nasked\n', broken: undefined })
  t.match(await finish(['sh', '-c', ends(1)], limits), { code: null, broken: 'it did not end within 0.5 s' })
})

t.test('one that does not end is cut off, whoever holds its outputs', async t => {
  const holding = 'echo begun; setsid sleep 600 & echo $!; exec sleep 600'
  const { code, out, broken } = await finish(['bash', '-c', holding], { limit: 500 })
  t.same({ code, broken }, { code: null, broken: 'it did not end within 0.5 s' })
  const [begun, left] = out.split('\n')
  t.equal(begun, 'begun')
  process.kill(Number(left), 'SIGKILL')
  t.match(await finish(['sh', '-c', 'kill -9 $$']), { code: null, broken: 'it was ended by SIGKILL' })
  t.match(await finish(['head', '-c', '5000000', '/dev/zero']), {
    code: null,
    broken: /more than 4194304 bytes/,
  })
  t.match(finishSync(['sleep', '600'], 50), { code: null, late: true })
  t.match(finishSync(['false'], 60_000), { code: 1, late: false })
  await t.rejects(finish(['true'], { folder: '/nowhere' }), { code: 'ENOENT' })
  const missing = await finish(['no-such-program'])
  t.ok(missing.code === 127 || missing.code === 126, missing.err)
})
