import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import pkg from '../../package.json' with { type: 'json' }
import { BIN } from '../support/checkout.ts'
import { isRoot } from '../support/command.ts'

const PATH = `${process.env['TEST_NODE_BIN'] ?? dirname(process.execPath)}:/usr/bin:/bin`

/** Runs a command in an environment of `assignments` only: the test runner's own would steer Node.js. */
function run(
  file: string,
  args: readonly string[],
  assignments: readonly string[] = [`PATH=${PATH}`],
): { code: number | null; out: string; err: string } {
  const path = file.startsWith('/') ? file : join(BIN, file)
  const done = spawnSync('/usr/bin/env', ['-i', ...assignments, path, ...args], { encoding: 'utf8' })
  return { code: done.status, out: done.stdout, err: done.stderr }
}

for (const name of Object.keys(pkg.bin)) {
  t.test(`${name} explains itself`, async t => {
    const help = run(name, ['--help'])
    t.match(help, { code: 0, err: /^$/ })
    t.ok(help.out.startsWith(`Usage: ${name} `), help.out)
    for (const option of ['--help', '--version', '--json', '--env-file FILE']) {
      t.ok(help.out.includes(`  ${option} `), option)
    }
    // What never changes anything has nothing to check first.
    t.equal(help.out.includes('  --check '), name !== 'debug-postgres' && name !== 'show-psql-conf')
    t.strictSame(run(name, ['-h']), help)
    t.strictSame(run(name, ['-V']), run(name, ['--version']))
    t.strictSame(run(name, ['--version']), { code: 0, out: `${name} ${pkg.version}\n`, err: '' })
    t.match(run(name, ['--nonsense']), { code: 64, err: `Unknown option '--nonsense'` })
  })
}

t.test('a wrong option is 64, and names it and the nearest one', async t => {
  const { code, out, err } = run('sync-password', ['--chek'])
  t.equal(code, 64, err)
  t.equal(out, '')
  t.match(err, /^sync-password: .*'--chek'/)
  t.ok(err.includes('Did you mean --check?'), err)
  t.ok(err.includes('sync-password --help'), err)
})

t.test('an option that only some commands take', async t => {
  t.match(run('debug-postgres', ['--check']), { code: 64, err: `Unknown option '--check'` })
  t.match(run('debug-postgres', ['--bundle=']), { code: 64, err: 'needs a value: FILE' })
  t.match(run('sync-password', ['--bundle', 'x']), { code: 64, err: `Unknown option '--bundle'` })
  t.match(run('fix-postgres', []), isRoot ? { code: 64, err: /no terminal.*\n.*--yes/ } : { code: 77 })
})

/** Arguments that are no use, and what the answer has to contain. */
const WRONG: readonly [args: readonly string[], says: string][] = [
  [['--check=yes'], "Option '--check' takes no value"],
  [['--env-file'], "Option '--env-file' needs a value: FILE\nsync-password: what to do: See"],
  [['--env-file', '--check'], "Option '--env-file' needs a value: FILE\nsync-password: what to do: See"],
  [['--env-file=a', '--env-file', 'b'], 'is given twice, with different values'],
  [['check'], 'Did you mean --check?'],
  [['--env-fil', '/x'], 'Did you mean --env-file?'],
  [['extra'], 'extra'],
  [['-check'], "Unknown option '-check'\nsync-password: what to do: Did you mean --check?"],
  [['-c'], '-c'],
  [['--check', '--nonsense', '--json'], '--nonsense'],
]
for (const [args, says] of WRONG) {
  t.test(`sync-password ${args.join(' ')} is 64`, async t => {
    const { code, err } = run('sync-password', args)
    t.equal(code, 64, err)
    t.ok(err.includes(says), err)
  })
}

t.test('with --json a failure is one document, and lines for people beside it', async t => {
  const file = join(t.testdir({ 'x.env': 'ENDOREG_DB_PORT=none\nENDOREG_DB_USR=x\n' }), 'x.env')
  const { code, out, err } = run('sync-password', ['--json', '--check', '--env-file', file])
  t.equal(code, 78, err)
  const document: unknown = JSON.parse(out)
  t.match(document, {
    command: /^sync-password$/,
    changed: false,
    check: true,
    error: { code: 78, message: 'read the settings: 2 problems', hint: 'nothing was touched' },
  })
  t.match(document, { error: { cause: `ENDOREG_DB_PORT (${file}) must be a port` } })
  t.match(document, { error: { cause: 'did you mean ENDOREG_DB_USER?' } })
  t.ok(err.includes('must be a port'), err)
  t.equal(JSON.parse(run('sync-password', ['--json', '--chek']).out).error.code, 64)
  t.match(run('sync-password', ['--env-file', file]), { code: 78, out: /^$/ })
})

t.test('a setting of the environment is refused as well', async t => {
  const file = join(t.testdir({ 'x.env': '' }), 'x.env')
  const { code, err } = run('sync-password', ['--env-file', file], [`PATH=${PATH}`, 'ENDOREG_REDY_TIMEOUT=5'])
  t.equal(code, 78)
  t.ok(err.includes('ENDOREG_REDY_TIMEOUT (the environment)'), err)
  t.ok(err.includes('did you mean ENDOREG_READY_TIMEOUT?'), err)
})

t.test('a link to a command is that command', async t => {
  const link = join(t.testdir(), 'another-name')
  symlinkSync(join(BIN, 'sync-password'), link)
  t.match(run(link, ['--version']), { code: 0, out: /^sync-password / })
})

t.test('without a build a command runs from its source, and no option of its own is for Node.js', async t => {
  const source = t.testdir({
    'foreign.cjs': "require('fs').writeFileSync(__dirname + '/ran', '')",
  })
  for (const name of ['bin', 'lib', 'units', 'package.json']) {
    cpSync(join(BIN, '..', name), join(source, name), { recursive: true })
  }
  symlinkSync(join(BIN, '../node_modules'), join(source, 'node_modules'))
  const file = join(source, 'x.env')
  const foreign = `NODE_OPTIONS=--require=${source}/foreign.cjs`
  writeFileSync(file, `${foreign}\nENDOREG_DB_PORT=none\n`)
  for (const command of [join(BIN, 'sync-password'), join(source, 'bin/sync-password')]) {
    const { code, err } = run(command, ['--check', '--env-file', file])
    t.equal(code, 78, err)
    t.match(err, /sync-password: .*ENDOREG_DB_PORT/)
    const option = run(command, ['--check', `--env-file=${file}`], [`PATH=${PATH}`, foreign])
    t.equal(option.code, 78, option.err)
  }
  t.notOk(existsSync(join(source, 'ran')), 'no foreign code ran')
})

t.test('a damaged build does no damage', async t => {
  const copy = t.testdir()
  for (const name of ['bin', 'lib', 'dist'])
    cpSync(join(BIN, '..', name), join(copy, name), { recursive: true })
  const command = join(copy, 'bin/sync-password')
  const [bundle, cache] = ['', '.cache'].map(end => join(copy, `dist/bin/sync-password.cjs${end}`))
  t.equal(run(command, ['--version']).code, 0)
  const stored = readFileSync(cache ?? '')
  for (const offset of [10, 5000, stored.length - 10]) {
    const damaged = Buffer.from(stored)
    damaged.writeUInt32LE(0xdeadbeef, offset)
    writeFileSync(cache ?? '', damaged)
    t.match(run(command, ['--version']), { code: 0, err: /^$/ }, `the stored code, at ${offset}`)
  }
  writeFileSync(bundle ?? '', '')
  t.match(run(command, ['--version']), { code: 70, err: /^sync-password: the built command is damaged/ })
})

const OPTIONS = ['--no-concurrent-recompilation', '--no-concurrent-sparkplug']

t.test('V8 compiles on no other thread, and takes the stored code as it is started', async t => {
  const copy = t.testdir({ node: '#!/bin/sh\necho "$@"\n' })
  chmodSync(join(copy, 'node'), 0o755)
  for (const name of ['bin', 'lib', 'dist', 'node_modules/tsx'])
    cpSync(join(BIN, '..', name), join(copy, name), { recursive: true })
  const optionsOf = (command: string, ...assignments: string[]): string[] =>
    run(join(copy, command), [], [`PATH=${copy}:/usr/bin:/bin`, ...assignments])
      .out.split(' -- ', 1)
      .flatMap(options => options.split(' '))
  const options = optionsOf('bin/sync-password')
  t.same(options, OPTIONS)
  t.same(optionsOf('lib/as-account'), options)
  t.same(optionsOf('bin/sync-password', `NOTIFY_SOCKET=${copy}/none`), options, 'by way of perl')
  const preparing = `node ${options.join(' ')} `
  t.ok(pkg.scripts.build.endsWith(`&& ${preparing}dist/start.cjs --compile`), pkg.scripts.build)
  const script = readFileSync(join(BIN, '../units/debian/postinst'), 'utf8')
  t.ok(script.includes(`\n    ${preparing}/usr/share/endoreg-provision/dist/start.cjs --compile || :\n`))

  const node = (...args: readonly string[]) => {
    const done = spawnSync('/usr/bin/env', ['-i', `PATH=${PATH}`, 'node', ...options, ...args])
    t.equal(done.status, 0, String(done.stderr))
    return String(done.stdout)
  }
  node(join(copy, 'dist/start.cjs'), '--compile')
  const bundle = join(copy, 'dist/bin/sync-password.cjs')
  const taken = `const { readFileSync } = require('node:fs')
    const cachedData = readFileSync('${bundle}.cache').subarray(32)
    const { cachedDataRejected } = new (require('node:vm').Script)(readFileSync('${bundle}', 'latin1'), { cachedData })
    console.log(cachedDataRejected)`
  t.equal(node('-e', taken), 'false\n')
  rmSync(join(copy, 'dist'), { recursive: true })
  t.same(optionsOf('bin/sync-password').slice(0, OPTIONS.length), OPTIONS, 'from its source')
})

t.test('odd ways to call a command', async t => {
  const shell = (script: string) => {
    const done = spawnSync('/bin/sh', ['-c', script], { cwd: BIN, env: { PATH }, encoding: 'utf8' })
    return { code: done.status, out: done.stdout, err: done.stderr }
  }
  t.match(shell('sh sync-password --version'), { code: 0, out: /^sync-password / })
  t.match(shell('./sync-password --version | true'), { code: 0, err: /^$/ })
  t.match(shell('NODE_PG_FORCE_NATIVE=1 ./postgres-endoreg-setup --version'), { code: 0, err: /^$/ })
  t.match(shell("./sync-password --env-file ''"), { code: 64, err: /needs a value: FILE/ })
  t.match(shell('PGPORT=0 ./sync-password --env-file /dev/null'), { code: 78, err: /PGPORT/ })
})

t.test('without Node.js it says so', { skip: existsSync('/none') ? '/none exists' : false }, async t => {
  const { code, err } = run('sync-password', [], ['PATH=/none'])
  t.equal(code, 69)
  t.match(err, /^sync-password: Node\.js is not on the PATH/)
})

t.test('options that contradict each other touch nothing, and both are named', async t => {
  for (const [name, one, other] of [
    ['reset-psql-safe', '--undo', '--purge-old'],
    ['reset-psql-safe', '--undo', '--no-backup'],
    ['reset-psql-safe', '--undo', '--yes-delete=gc-10'],
    ['reset-psql-safe', '--purge-old', '--no-backup'],
    ['reset-psql-safe', '--purge-old', '--undo-to=main.before-reset'],
    ['reset-psql-safe', '--no-backup', '--undo-to=main.before-reset'],
    ['reset-psql-safe', '--check', '--yes-delete=gc-10'],
    ['nextcloud-maintenance', '--reset-psql', '--show-psql-conf'],
    ['nextcloud-maintenance', '--show-psql-conf', '--no-backup'],
    ['nextcloud-maintenance', '--show-psql-conf', '--yes-delete=gc-10'],
    ['backup-postgres', '--no-copy', '--copy-only'],
    ['backup-postgres', '--copy-only', '--retry=60'],
    ['fix-postgres', '--check', '--yes'],
    ['restore-postgres', '--list', '--backup=x'],
    ['restore-postgres', '--list', '--drill'],
    ['restore-postgres', '--drill', '--no-backup'],
    ['restore-postgres', '--drill', '--database=x'],
    ['restore-postgres', '--drill', '--yes-overwrite=x'],
    ['restore-postgres', '--drill', '--yes-incomplete=x'],
    ['restore-postgres', '--check', '--yes-overwrite=gc-10'],
  ] as const) {
    const { code, err } = run(name, [one, other])
    t.equal(code, 64, err)
    for (const option of [one, other]) t.match(err, `${option.split('=')[0]} `)
    t.match(err, /do not go together\n.* --help/)
  }
})

t.test('options that are not enough touch nothing', async t => {
  for (const [name, ...args] of [
    ['nextcloud-maintenance'],
    ['nextcloud-maintenance', '--no-backup'],
    ['backup-postgres', '--keep=0'],
    ['restore-postgres', '--as=x'],
    ['restore-postgres', '--host=x'],
  ] as const) {
    const expected =
      isRoot || name !== 'nextcloud-maintenance' ? { code: 64, err: `${name} --help` } : { code: 77 }
    t.match(run(name, args), expected, `${name} ${args.join(' ')}`)
  }
})

t.test(
  'what only root may do is refused before anything is asked or read',
  { skip: isRoot ? false : 'needs root, to be another account' },
  async t => {
    const as = (name: string, ...args: readonly string[]) =>
      run('/usr/bin/setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', join(BIN, name), ...args])
    for (const [name, ...args] of [
      ['reset-psql-safe'],
      ['reset-psql-safe', '--purge-old'],
      ['fix-postgres'],
      ['fix-postgres', '--yes'],
      ['nextcloud-maintenance', '--reset-psql'],
    ] as const) {
      const { code, err } = as(name, ...args, '--env-file', '/none.env')
      t.equal(code, 77, err)
      t.match(err, `cannot run ${name}: only root can do this`)
      t.match(err, `what to do: Run it as root: sudo ${name}\n`)
    }
    t.match(as('fix-postgres', '--chek'), { code: 64 })
  },
)
