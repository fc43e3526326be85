import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import t from 'tap'
import { confirmHost } from '../../lib/frame/confirm.ts'
import { outputOf } from '../support/output.ts'
import { aRun, ownFolder } from '../support/shelf.ts'

const folder = ownFolder(t)
const DRIVER = join(folder, 'confirm-driver.cjs')
buildSync({
  entryPoints: [fileURLToPath(new URL('../support/confirm-driver.ts', import.meta.url))],
  outfile: DRIVER,
  bundle: true,
  platform: 'node',
  external: ['pg-native'],
  logLevel: 'warning',
})
const NAME = hostname()
const env = { PATH: process.env['PATH'], ENDOREG_ENV_FILE: '/dev/null' }

/** Runs it without a terminal, with the host's name on its standard input. */
const piped = (...args: string[]) =>
  spawnSync(process.execPath, [DRIVER, ...args], { input: `${NAME}\n`, env, encoding: 'utf8' })

t.test('without a terminal the name has to be given', async t => {
  const { status, stderr } = piped()
  t.equal(status, 64, stderr)
  t.match(stderr, /cannot do it: there is no terminal to type the host's name at/)
  t.match(stderr, `Nothing was touched. If it is meant, say so with --yes-delete ${NAME}\n`)
  const other = piped('--overwrite', '--yes-delete', NAME)
  t.equal(other.status, 64, 'consent to one thing is none to another')
  t.match(other.stderr, `say so with --yes-overwrite ${NAME}\n`)
})

t.test('the name that is given has to be this one', async t => {
  const given = (values: Record<string, string>, consent?: 'yes-overwrite'): Promise<void> =>
    confirmHost(aRun({}, { values }), 'do it', consent)
  await given({ 'yes-delete': NAME })
  await given({ 'yes-overwrite': NAME }, 'yes-overwrite')
  await given({ 'yes-delete': 'other', 'yes-overwrite': NAME }, 'yes-overwrite')
  for (const other of ['', `${NAME} `, ` ${NAME}`, `${NAME}x`, NAME.slice(0, -1), 'yes']) {
    await t.rejects(given({ 'yes-delete': other }), {
      code: 64,
      message: 'do it',
      reason: `this host is ${JSON.stringify(NAME)}, not ${JSON.stringify(other)}`,
      hint: /^Nothing was touched/,
    })
  }
  await t.rejects(given({ 'yes-delete': 'a\u001b[2Jb' }), { code: 64, reason: /not "a\\u001b\[2Jb"$/ })
  await t.rejects(given({ 'yes-delete': NAME, 'yes-overwrite': 'other' }, 'yes-overwrite'), { code: 64 })
})

/** Runs it through a shell at a terminal where `typed` is typed. */
function atTerminal(command: string, typed: string) {
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { env })
  child.stdin.end(typed)
  return outputOf(child)
}

const ASK = `'${process.execPath}' '${DRIVER}'`
const noScript =
  spawnSync('script', ['--version']).status === 0
    ? false
    : 'no script(1) on this machine, which makes a terminal'

t.test('at a terminal it is typed', { skip: noScript }, async t => {
  const meant = await atTerminal(ASK, `  ${NAME} \n`)
  t.equal(meant.code, 0, meant.out)
  t.match(meant.out, `confirm-driver: type this host's name to go on (${NAME}): `)
  const nothing = await atTerminal(ASK, '')
  t.equal(nothing.code, 64, nothing.out)
  t.match(nothing.out, /the host's name was not typed/)
})

t.test('half a terminal is none', { skip: noScript }, async t => {
  const said = join(folder, 'said')
  const unseen = await atTerminal(`${ASK} 2>'${said}'`, `${NAME}\n`)
  t.equal(unseen.code, 64, 'nobody would see the question')
  t.match(readFileSync(said, 'utf8'), /there is no terminal/)
  const unheard = await atTerminal(`echo '${NAME}' | ${ASK}`, '')
  t.equal(unheard.code, 64, unheard.out)
  t.match(unheard.out, /there is no terminal/)
})
