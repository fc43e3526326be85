/**
 * `npm run demo`: the main job on a real PostgreSQL in a temporary folder, as an operator would want to see
 * it. Needs no root; as root it runs the server as another account, because PostgreSQL refuses root. Leaves
 * nothing running and nothing behind.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { constants, networkInterfaces, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findAccount, groupName } from '../../lib/host/accounts.ts'
import { Cluster, type Runner } from './cluster.ts'
import { copyInstallation } from './installation.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))
/** Where a folder is made, by preference. */
const PARENTS = [tmpdir(), '/tmp', '/var/tmp', '/dev/shm']

/** PostgreSQL refuses root, so under root it gets an account that every system has. */
function runner(): Runner {
  const { username, uid, gid } = userInfo()
  if (uid !== 0) return { name: username, uid, gid }
  const account = findAccount('postgres') ?? findAccount('nobody')
  if (!account) throw new Error('as root the demo needs an account called postgres or nobody')
  return account
}

/** Somewhere that the account may enter: as root the temporary folder may be in one that only root enters. */
function parentFor({ name, uid, gid }: Runner): string {
  const enters = (path: string): boolean => spawnSync('test', ['-x', path], { uid, gid }).status === 0
  const found = PARENTS.find(enters)
  if (!found) throw new Error(`the account ${name} may enter none of ${PARENTS.join(', ')}`)
  return found
}

/** Prints a command as typed, runs it, and stops the demo where it does not end as it should. */
async function show(words: string, expected: number, env: Readonly<Record<string, string>>): Promise<void> {
  const [name = '', ...args] = words.split(' ')
  console.log(`\n$ ${words}`)
  const child = spawn(join(BIN, name), args, { env, stdio: ['ignore', 'inherit', 'inherit'] })
  const [status] = await once(child, 'exit')
  console.log(`(exit code ${status})`)
  if (status !== expected) throw new Error(`${words} ended with ${status}, not with ${expected}`)
}

/** Whether this machine has the address; ::1 may be turned off. */
const isLocal = (address: string): boolean =>
  Object.values(networkInterfaces()).some(list => list?.some(entry => entry.address === address))

const step = (text: string): void => console.log(`\n--- ${text}`)

const account = runner()
const folder = mkdtempSync(join(parentFor(account), 'endoreg-demo-'))
let cluster: Cluster | undefined

async function demo(): Promise<void> {
  chmodSync(folder, 0o755)
  step('A bare PostgreSQL starts in a temporary folder.')
  const bin = copyInstallation(join(folder, 'postgresql'))
  cluster = await Cluster.create({ bin, folder: join(folder, 'cluster'), runner: account })
  await cluster.start()
  const [version] = await cluster.query('SHOW server_version')
  console.log(
    `PostgreSQL ${version?.['server_version']}, port ${cluster.port}, SCRAM on 127.0.0.1 and ::1, peer on the socket`,
  )

  const apiDir = join(folder, 'home/endo-api')
  mkdirSync(apiDir, { recursive: true })
  const me = userInfo().username
  const group = groupName(userInfo().gid)
  const env = {
    PATH: process.env['PATH'] ?? '',
    PGHOST: cluster.socket,
    PGPORT: String(cluster.port),
    ENDOREG_PG_OS_USER: account.name,
    ENDOREG_VAULT_FILE: join(folder, 'etc/vault/SCRT_local_password_maintenance_password'),
    ENDOREG_VAULT_OWNER: me,
    ENDOREG_VAULT_GROUP: group,
    ENDOREG_SERVICE_USER: me,
    ENDOREG_SERVICE_GROUP: group,
    ENDOREG_API_DIR: apiDir,
    ENDOREG_STATE_DIR: join(folder, 'state'),
  }

  step('First run: vault password, roles, databases, password, and the proof over both loopbacks.')
  await show('postgres-endoreg-setup', 0, env)
  for (const address of ['127.0.0.1', '::1'].filter(isLocal)) {
    await show('postgres-endoreg-setup --check', 0, { ...env, ENDOREG_DB_HOST: address })
  }
  step(
    "The API's side: it waits for that very login, then installs conf/db_pwd, conf/db.yaml and local_settings.py.",
  )
  await show('endo-api-boot', 0, env)
  const copy = statSync(join(apiDir, 'conf/db_pwd'))
  console.log(`conf/db_pwd: mode 0${(copy.mode & 0o777).toString(8)}, owner ${me}`)
  step('Second run: there is nothing to change, so nothing is written.')
  await show('postgres-endoreg-setup', 0, env)
  step('Somebody changes the password in PostgreSQL by hand. Check mode finds it (exit code 1) ...')
  await cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'typed by hand'`)
  await show('sync-password --check', 1, env)
  step('... and without --check it is mended.')
  await show('sync-password', 0, env)
  await show('sync-password --check --json', 0, env)
  step('Done. The server stops, and the folder goes.')
}

let cleaning: Promise<void> | undefined
function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    await cluster?.stop('SIGQUIT')
    rmSync(folder, { recursive: true, force: true })
  })()
  return cleaning
}

let stopped = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stopped = true
    cleanUp().finally(() => process.exit(128 + constants.signals[signal]))
  })
}
try {
  await demo()
} catch (error) {
  // What was under way when it was stopped has failed, too.
  if (!stopped) console.error(`\nthe demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  await cleanUp()
}
