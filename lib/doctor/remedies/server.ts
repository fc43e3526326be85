import type { Run } from '../../command.ts'
import { account } from '../../files/accounts.ts'
import { keepBefore } from '../../files/configuration-file.ts'
import { inSession } from '../../postgres/in-session.ts'
import { identifier, literal } from '../../postgres/quote.ts'
import { reload } from '../../postgres/reload.ts'
import { run as send } from '../../postgres/session.ts'
import { statementFailure } from '../../postgres/statement-failure.ts'
import { perform, startUnits } from '../../programs.ts'
import { serverSelf } from '../findings/server-views.ts'
import { type Remedy, subjects } from './terms.ts'

/** Milliseconds for a statement of a remedy. */
export const LIMIT = 30_000

async function execute(run: Run, database: string, sql: string, doing: string): Promise<void> {
  await inSession(run, database, LIMIT, async client => {
    try {
      await send(client, sql, LIMIT, doing)
    } catch (error) {
      throw statementFailure(error, doing)
    }
  })
}

/** Debian's postgresql.service does nothing but want one unit for each cluster. */
async function clusterUnits(): Promise<string[]> {
  const wanted = await perform('systemctl', 'show', '--property=Wants', '--value', 'postgresql.service')
  return wanted
    .trim()
    .split(' ')
    .filter(name => name.startsWith('postgresql@'))
}

const untilUp = (run: Run): Promise<void> => inSession(run, run.settings.adminDatabase, LIMIT, async () => {})

export const start: Remedy = {
  fix: 'start',
  does: () => 'start PostgreSQL',
  apply: async run => {
    await startUnits('start', 'postgresql.service', ...(await clusterUnits()))
    await untilUp(run)
    run.report.change({ resource: 'postgresql.service', action: 'start' })
  },
}

/** Whether `listening` already means `address`, once /etc/hosts is right. */
export const covers = (listening: readonly string[], address: string): boolean =>
  ['*', address, address.includes(':') ? '::' : '0.0.0.0'].some(name => listening.includes(name)) ||
  (listening.includes('localhost') && ['127.0.0.1', '::1'].includes(address))

export const listen: Remedy = {
  fix: 'listen',
  does: findings => `let PostgreSQL listen at ${subjects(findings)}, and restart it`,
  apply: async (run, findings, facts) => {
    const self = serverSelf(facts)
    if (!self) return
    const present = self.listenAddresses
      .split(',')
      .map(name => name.trim())
      .filter(Boolean)
    const missing = findings.map(({ subject }) => subject).filter(address => !covers(present, address))
    if (missing.length > 0) {
      const file = `${self.dataFolder}/postgresql.auto.conf`
      keepBefore.as(account(run.settings.postgresAccount, 'ENDOREG_PG_OS_USER'), file)
      const wanted = [...present, ...missing].join(',')
      const sql = `ALTER SYSTEM SET listen_addresses = ${literal(wanted)}`
      await execute(run, run.settings.adminDatabase, sql, 'set listen_addresses')
      run.report.change({ resource: 'setting listen_addresses', action: `set ${wanted}` })
    }
    // With the units of the clusters: of the one above them systemctl would not wait for these.
    await startUnits('restart', 'postgresql.service', ...(await clusterUnits()))
    await untilUp(run)
    run.report.change({ resource: 'postgresql.service', action: 'restart' })
  },
}

/** Reloads, and waits until it has happened. */
export async function reloadServer(run: Run): Promise<void> {
  await inSession(run, run.settings.adminDatabase, LIMIT, client =>
    reload(client, LIMIT, 'reload the configuration of PostgreSQL'),
  )
  run.report.change({ resource: 'PostgreSQL', action: 'reload its configuration' })
}

export const reloading: Remedy = {
  fix: 'reload',
  does: findings => `reload the configuration of PostgreSQL: ${subjects(findings)}`,
  apply: run => reloadServer(run),
}

export const schema: Remedy = {
  fix: 'schema',
  does: findings => `let the application's role make tables in ${subjects(findings)}`,
  apply: async run => {
    const { dbName, dbUser } = run.settings
    const sql = `GRANT CREATE ON SCHEMA public TO ${identifier(dbUser)}`
    await execute(run, dbName, sql, `give ${dbUser} the right to make tables in ${dbName}`)
    run.report.change({
      resource: `database ${dbName}`,
      action: `grant CREATE on schema public to ${dbUser}`,
    })
  },
}
