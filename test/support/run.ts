/**
 * Starts a program of node_modules/.bin, with its arguments, on a machine made for tests. As root it first
 * makes a mount namespace of its own, in which this machine has the accounts of a clinic's host and both
 * loopbacks for localhost; nothing of it is left behind. Then it prepares one PostgreSQL for all.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeAccounts } from './accounts.ts'
import { initialise } from './cluster.ts'
import { runner } from './host.ts'
import { copyInstallation } from './installation.ts'

const INSIDE = `
for name in passwd group hosts; do mount --bind "$TEST_FOLDER/$name" "/etc/$name" || exit 1; done
# Other accounts run the commands too, and the checkout may be in a folder that only root enters.
mount --bind "$TEST_CHECKOUT" "$TEST_FOLDER/checkout" || exit 1
mount -o remount,bind,ro "$TEST_FOLDER/checkout" || exit 1
export TEST_CHECKOUT="$TEST_FOLDER/checkout"
exec "$@"`

const root = process.getuid?.() === 0
const folder = process.env['TEST_FOLDER']
process.exitCode = folder === undefined ? outside() : inside(folder)

function outside(): number {
  const made = mkdtempSync(join(tmpdir(), 'endoreg-test-'))
  chmodSync(made, 0o755)
  try {
    const env = { ...process.env, TEST_FOLDER: made }
    const again = [
      process.execPath,
      ...process.execArgv,
      fileURLToPath(import.meta.url),
      ...process.argv.slice(2),
    ]
    if (!root) return run(again, env)
    writeAccounts(made)
    mkdirSync(join(made, 'checkout'))
    const checkout = fileURLToPath(new URL('../..', import.meta.url))
    return run(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', INSIDE, 'sh', ...again], {
      ...env,
      TEST_CHECKOUT: checkout,
    })
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

function inside(made: string): number {
  const bin = copyInstallation(join(made, 'postgresql'), process.env['TEST_POSTGRES_NATIVE'])
  const parent = join(made, 'template')
  mkdirSync(parent, { mode: 0o777 })
  chmodSync(parent, 0o777)
  const template = join(parent, 'data')
  initialise(bin, template, runner())
  const [program = '', ...args] = process.argv.slice(2)
  const file = fileURLToPath(new URL(`../../node_modules/.bin/${program}`, import.meta.url))
  return run([file, ...args], {
    ...process.env,
    TEST_POSTGRES_BIN: bin,
    TEST_POSTGRES_TEMPLATE: template,
  })
}

function run([command = '', ...args]: readonly string[], env: NodeJS.ProcessEnv): number {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env })
  if (error) throw error
  return status ?? 1
}
