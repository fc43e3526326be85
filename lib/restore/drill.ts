import type { Backup, SavedDatabase } from '../backup/terms.ts'
import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { leaveProvenRestore } from '../metrics/maintenance.ts'
import { inSession } from '../postgres/in-session.ts'
import { LOCK_DATABASE } from '../postgres/lock.ts'
import { findProgram } from '../postgres/programs.ts'
import { identifier } from '../postgres/quote.ts'
import { ask } from '../postgres/statement-failure.ts'
import { count } from '../report.ts'
import { durationText } from '../text.ts'
import { restore } from './road.ts'
import { verifyBackup } from './source.ts'
import { requireBytes } from './space.ts'
import { startThrowaway, throwawayParent, withoutRights } from './throwaway.ts'

const LIMIT = 60_000

/**
 * Restores a backup into a throwaway cluster of its major, on the same road as into the host's, and compares what is
 * there then with what the backup says. The host's cluster is not touched and need not run. For the holder of the
 * maintenance's lock; in check mode it only looks whether everything is there.
 *
 * Fails with 74 and what differs or is damaged where the backup cannot be restored whole.
 */
export async function drill(run: Run, backup: Backup): Promise<string> {
  const begun = performance.now()
  await verifyBackup(run, backup)
  if (run.check) {
    const { major } = backup.description.server
    for (const program of ['initdb', 'postgres', 'pg_restore'] as const) await findProgram(program, major)
    return `the backup ${backup.name} is whole, and PostgreSQL ${major} is there to restore it`
  }
  const failures = await prove(run, backup)
  if (failures.length > 0) throw failed(backup, failures)
  const seconds = Math.round((performance.now() - begun) / 100) / 10
  await leaveProvenRestore(run, seconds)
  return summary(backup, seconds)
}

/** Restores `backup` into a throwaway cluster; gives what is wrong with it, a sentence each. */
async function prove(run: Run, backup: Backup): Promise<string[]> {
  const { server, databases, tablespaces } = backup.description
  const own = withoutRights(run)
  requireBytes(own, throwawayParent(), databases)
  const extensions = new Set(databases.flatMap(database => database.extensions.map(({ name }) => name)))
  const like = databases.find(({ name }) => name === LOCK_DATABASE)
  const throwaway = await startThrowaway(own, server.major, like, extensions)
  try {
    await makeTablespaces(throwaway.run, tablespaces)
    const failures = new Map<string, string>()
    const restored = await restore(
      {
        run: throwaway.run,
        backup,
        databases,
        major: server.major,
        allRoles: true,
        managed: undefined,
        marks: new Map(),
        analyze: false,
        onFailure: ({ name }: SavedDatabase, failure: Failure) => {
          if (!isOfBackup(failure)) throw failure
          failures.set(name, failure.reason)
        },
      },
      async () => {},
    )
    return [
      ...databases.flatMap(({ name }) => {
        const failure = failures.get(name)
        const differences = failure === undefined ? (restored.databases.get(name) ?? []) : [failure]
        return told(run, name, differences, `the database ${name}`)
      }),
      ...told(run, 'roles', restored.roles, 'the roles'),
    ]
  } finally {
    await throwaway.end()
    run.report.waited()
  }
}

/** Whether the backup is to blame, so that the other databases in it are still to be looked at. */
export const isOfBackup = ({ code }: Failure): boolean =>
  code === ExitCode.inputOutput || code === ExitCode.cannotCreate

function told({ report }: Run, name: string, wrong: readonly string[], subject: string): string[] {
  const note = wrong.join(', ')
  report.checked({ name: `drill ${name}`, ok: note === '', ...(note === '' ? {} : { note }) })
  return note === '' ? [] : [`${subject}: ${note}`]
}

/** Within the throwaway's own folder: the real ones may be full, or in use by the host's cluster. */
const makeTablespaces = (run: Run, names: readonly string[]): Promise<void> =>
  inSession(run, LOCK_DATABASE, LIMIT, async client => {
    for (const name of names) {
      await ask(
        client,
        `CREATE TABLESPACE ${identifier(name)} LOCATION ''`,
        LIMIT,
        `create the tablespace ${name}`,
      )
    }
  })

function summary({ name, description }: Backup, seconds: number): string {
  const { databases, roles, server } = description
  const tables = databases.flatMap(database => database.tables)
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  const what = `${count(databases.length, 'database')} with ${count(tables.length, 'table')} and ${count(rows, 'row')}, ${count(roles.length, 'role')}`
  return `the backup ${name} can be restored: ${what}, compared in a throwaway PostgreSQL ${server.major} in ${durationText(seconds)}`
}

const failed = ({ path }: Backup, failures: readonly string[]): Failure =>
  new Failure(ExitCode.inputOutput, {
    message: `restore the backup ${path} as it was`,
    cause: failures.join('; '),
    hint: 'Make another one now (backup-postgres) and try that (restore-postgres --drill); look at the health of the disk (dmesg).',
  })
