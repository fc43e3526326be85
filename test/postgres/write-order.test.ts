import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { findAccount } from '../../lib/host/accounts.ts'
import { buildVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { FIXED_IDS } from '../support/checkout.ts'
import { isRoot } from '../support/command.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host, needsRoot, runner } from '../support/host.ts'
import { type Call, changesIn, needsStrace, record, statementOf, steps } from '../support/system-calls.ts'
import { orderBreaches, silenceBreaches } from '../support/write-order.ts'

const OTHER_RULES = `local all postgres peer map=superuser_map
host all all ::1/128 reject
host all all all scram-sha-256
`

/** Begins the command line of the service account's, where there is one. */
const asService = (): string[] => {
  const account = findAccount('endoreg-service-user')
  if (!isRoot || !account) return []
  return ['setpriv', `--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups']
}

const metricsOf = (host: Host): string => join(host.folder, 'metrics')

/** Runs a command that changes something, and finds nothing in the wrong order. */
async function inOrder(
  t: Test,
  host: Host,
  command: string,
  args: readonly string[] = [],
): Promise<readonly Call[]> {
  const boots = command === 'endo-api-boot'
  const { result, calls } = await record(host, command, args, boots ? asService() : [])
  t.equal(result.code, 0, result.err)
  t.ok(result.json.changes.length > 0)
  const places = {
    durable: [host.folder],
    whole: [metricsOf(host)],
    // The API's unit proves the login first, so it reads the vault before.
    ...(command === 'backup-postgres' ? {} : { locked: boots ? [] : [host.vaultFolder] }),
  }
  t.same(orderBreaches(calls, places), [])
  t.same(silenceBreaches(calls), [])
  return calls
}

/** Runs a command where nothing is to be done, or that only looks: it writes nothing, and tells PostgreSQL nothing new. */
async function writesNothing(
  t: Test,
  host: Host,
  code: number,
  command: string,
  ...args: string[]
): Promise<void> {
  const boots = command === 'endo-api-boot'
  const { result, calls } = await record(host, command, args, boots ? asService() : [])
  t.equal(result.code, code, result.err)
  t.ok(calls.length > 0)
  t.same(
    changesIn(calls, host.folder).filter(change => !change.includes(metricsOf(host))),
    [],
  )
  t.same(
    calls
      .map(statementOf)
      .filter(statement => /(?:^|;)\s*(?:ALTER|CREATE|COMMIT)\b|pg_reload/.test(statement ?? '')),
    [],
  )
}

/**
 * That `wanted` is done in this order, each once; of other steps nothing is said. An ellipsis at the end stands for
 * anything.
 */
function happens(t: Test, calls: readonly Call[], host: Host, wanted: readonly string[]): void {
  const known = (step: string): string | undefined =>
    wanted.find(text => (text.endsWith('…') ? step.startsWith(text.slice(0, -1)) : step === text))
  t.same(
    steps(calls, host.folder).flatMap(step => known(step) ?? []),
    wanted,
  )
}

/** That every login after the verifier is proved before the vault file has the new password. */
function provesFirst(t: Test, calls: readonly Call[], host: Host): void {
  const done = steps(calls, host.folder)
  const set = done.indexOf('tell COMMIT; RESET log_transaction_sample_rate')
  const replaced = done.indexOf('name etc/vault/SCRT_password')
  const logins = done.slice(set, replaced).filter(step => step === 'log in')
  t.ok(set >= 0 && replaced > set)
  t.ok(logins.length > 0, `${logins.length} logins`)
  t.equal(done.slice(replaced).includes('log in'), false)
}

const ROTATION = [
  'name etc/vault/SCRT_password.next',
  'name state/verifiers.…',
  'tell SET log_transaction_sample_rate = 0',
  'tell BEGIN READ WRITE; SET LOCAL log_statement…',
  'tell ALTER ROLE "endoregDbLocal" WITH PASSWORD…',
  'tell COMMIT; RESET log_transaction_sample_rate',
  'name etc/vault/SCRT_password',
  'name home/endo-api/conf/db_pwd',
  'remove etc/vault/SCRT_password.next',
]

async function freshHost(t: Test): Promise<Host> {
  const host = await Host.create(t, needsPrograms.skip ? {} : fullPostgres)
  mkdirSync(metricsOf(host), { mode: 0o777 })
  chmodSync(metricsOf(host), 0o777)
  host.env['ENDOREG_METRICS_DIR'] = metricsOf(host)
  host.env['ENDOREG_MANAGE_HBA'] = 'write'
  const shipped = JSON.parse(readFileSync(new URL('../../units/manifest.json', import.meta.url), 'utf8'))
  const roles = [{ name: 'endoregDbLocal', replication: true }]
  const databases = [{ name: 'endoregDbLocal', owner: 'endoregDbLocal' }]
  host.env['ENDOREG_MANIFEST'] = join(host.folder, 'manifest.json')
  writeFileSync(
    host.env['ENDOREG_MANIFEST'],
    JSON.stringify({ ...shipped, roles, databases, $schema: undefined }),
  )
  return host
}

/** Access rules and identities without those that the manifest declares. */
async function disturbRules({ cluster }: Host): Promise<void> {
  for (const name of ['pg_hba.conf', 'pg_ident.conf'])
    rmSync(join(cluster.data, `${name}.endoreg-before`), { force: true })
  cluster.setRules(OTHER_RULES)
  writeFileSync(join(cluster.data, 'pg_ident.conf'), `superuser_map "${runner().name}" postgres\n`)
  await cluster.reload()
}

const disturb = async ({ cluster }: Host): Promise<void> => {
  await cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'by hand' NOREPLICATION`)
}

t.test(
  'nothing is relied on before it is on the disk, and nothing is open for a moment',
  needsStrace,
  async t => {
    const host = await freshHost(t)
    const { cluster } = host
    const rules = join(cluster.data, 'pg_hba.conf')
    const settle = async (t: Test): Promise<void> => {
      for (const result of [await host.setup(), await host.sync(), await host.boot()])
        t.equal(result.code, 0, result.err)
    }
    await t.test('a first setup', async t => {
      await disturbRules(host)
      await writesNothing(t, host, 1, 'postgres-endoreg-setup', '--check')
      const calls = await inOrder(t, host, 'postgres-endoreg-setup')
      happens(t, calls, host, [
        'name etc/vault/SCRT_password',
        'tell CREATE ROLE…',
        'name state/verifiers.…',
        'tell ALTER ROLE "endoregDbLocal" WITH PASSWORD…',
        'tell CREATE DATABASE "endoregDbLocal"…',
        'name cluster/data/pg_ident.conf.endoreg-before',
        'name cluster/data/pg_ident.conf',
        'name cluster/data/pg_hba.conf.endoreg-before',
        'name cluster/data/pg_hba.conf',
        'tell SELECT pg_reload_conf()…',
      ])
      t.match(readFileSync(rules, 'utf8'), /endoreg-provision/)
      await writesNothing(t, host, 0, 'postgres-endoreg-setup')
    })
    await t.test('the first boot of the API', async t => {
      await writesNothing(t, host, 1, 'endo-api-boot', '--check')
      await inOrder(t, host, 'endo-api-boot')
      await writesNothing(t, host, 0, 'endo-api-boot')
    })
    await t.test('a setup that finds everything wrong', async t => {
      await disturb(host)
      await disturbRules(host)
      chmodSync(host.vaultFile, 0o600)
      chmodSync(host.vaultFolder, 0o700)
      await writesNothing(t, host, 1, 'postgres-endoreg-setup', '--check')
      await inOrder(t, host, 'postgres-endoreg-setup')
      t.ok(existsSync(`${rules}.endoreg-before`))
    })
    await t.test('sync-password', async t => {
      await disturb(host)
      writeFileSync(host.copy, 'other\n')
      await writesNothing(t, host, 1, 'sync-password', '--check')
      await inOrder(t, host, 'sync-password')
      await settle(t)
      await writesNothing(t, host, 0, 'sync-password')
    })
    await t.test('sync-password from another database than that of the lock', async t => {
      await disturb(host)
      host.env['PGDATABASE'] = 'endoregDbLocal'
      await inOrder(t, host, 'sync-password')
      delete host.env['PGDATABASE']
    })
    await t.test('sync-password where the vault file is empty', async t => {
      writeFileSync(host.vaultFile, '')
      await inOrder(t, host, 'sync-password')
    })
    await t.test('a rotation', async t => {
      await writesNothing(t, host, 1, 'sync-password', '--rotate', '--check')
      const calls = await inOrder(t, host, 'sync-password', ['--rotate'])
      happens(t, calls, host, ROTATION)
      provesFirst(t, calls, host)
    })
    await t.test('a rotation by children that have the accounts from their start', needsRoot, async t => {
      const path = host.env['PATH'] ?? ''
      host.env['PATH'] = `${FIXED_IDS}:${path}`
      happens(t, await inOrder(t, host, 'sync-password', ['--rotate']), host, ROTATION)
      host.env['PATH'] = path
    })
    await t.test('a rotation that was interrupted', async t => {
      writeFileSync(`${host.vaultFile}.next`, 'staged\n', { mode: 0o640 })
      const verifier = await buildVerifier(await ScramPassword.from(new Password('staged')), 4096)
      await cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD '${verifier}'`)
      const calls = await inOrder(t, host, 'sync-password')
      happens(t, calls, host, [
        'name etc/vault/SCRT_password',
        'name home/endo-api/conf/db_pwd',
        'remove etc/vault/SCRT_password.next',
      ])
      t.equal(host.vault(), 'staged')
    })
    await t.test('a backup, and the removal of an old one', needsPrograms, async t => {
      await inOrder(t, host, 'backup-postgres')
      await inOrder(t, host, 'backup-postgres', ['--keep=1'])
    })
  },
)
