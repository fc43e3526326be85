import { type Counted, describeDatabases } from '../backup/describe.ts'
import type { SavedDatabase } from '../backup/terms.ts'
import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { inSession } from '../postgres/in-session.ts'
import { identifier } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'
import { isEmptyArchive, restoreArchive, type Share } from './archive.ts'
import { compareContents, compareShared } from './compare.ts'
import { countInPlace } from './count.ts'
import { commentSql, createSql, limitsSql, rightsSql } from './database-sql.ts'
import type { Road } from './road.ts'
import { endingSessions, sessionsBefore } from './sessions.ts'
import { settingSql } from './settings-sql.ts'

/** Milliseconds that catalogs get, and a lock. */
const LIMIT = 60_000
/** Milliseconds for what reads every row: as long as it takes, within a day. */
const DAY = 86_400_000

/**
 * Restores `saved` into a new database `name`, which has everything then but its name and its limits.
 * Fails with 73 where it cannot be created, 74 where it does not hold what the backup says.
 */
export async function prepareNew(
  { run, backup, major, analyze }: Road,
  client: Session,
  saved: SavedDatabase,
  name: string,
  share: Share,
): Promise<void> {
  const doing = `create the database ${saved.name}`
  await ask(client, createSql(saved, name, major), DAY, doing)
  await restoreArchive(run, backup, saved, name, major, 'new', share)
  run.report.progress(`count the rows of ${saved.name}`, share.before + share.own)
  const differences = compareContents(saved, await lookInto(run, name, analyze))
  if (differences.length > 0) throw otherContents(saved.name, differences)
  const statements = [commentSql(saved, name), ...(saved.rights === null ? [] : rightsSql(saved, name, []))]
  await ask(client, statements.join('; '), LIMIT, `give the database ${saved.name} its rights`)
  await giveSettings(run, client, saved, name)
}

/**
 * Restores `saved` into the database of its name, in the place of what has the same names there; the rest stays.
 *
 * @returns how its contents differ from the backup then; undefined where there was nothing to restore
 */
export async function restoreInPlace(
  { run, backup, major, analyze }: Road,
  client: Session,
  saved: SavedDatabase,
  share: Share,
): Promise<readonly string[] | undefined> {
  const { name } = saved
  const current = (await describeDatabases(client, major, LIMIT)).databases.find(found => found.name === name)
  const empty = await isEmptyArchive(run, backup, saved, major)
  const restoring = (): Promise<void> => restoreArchive(run, backup, saved, name, major, 'in place', share)
  if (!empty) await endingSessions(run, sessionsBefore(name), restoring)
  else if (current && compareShared(saved, current, false).length === 0) return undefined
  const grantees = current?.rights?.flatMap(({ grantee }) => grantee ?? []) ?? []
  const statements = [
    `ALTER DATABASE ${identifier(name)} OWNER TO ${identifier(saved.owner)}`,
    limitsSql(name, saved),
    commentSql(saved, name),
    ...rightsSql(saved, name, grantees),
    `ALTER DATABASE ${identifier(name)} RESET ALL`,
  ]
  await ask(client, statements.join('; '), LIMIT, `give the database ${name} what it had`)
  await giveSettings(run, client, saved, name)
  return empty ? [] : compareContents(saved, await lookInto(run, name, analyze))
}

/** What is in the database `name`; where it will be used, it gets the statistics that its planner needs. */
const lookInto = (run: Run, name: string, analyze: boolean): Promise<Counted> =>
  inSession(run, name, LIMIT, async client => {
    if (analyze) await ask(client, 'ANALYZE', DAY, `analyze the database ${name}`)
    return countInPlace(client)
  })

/** A setting that PostgreSQL does not know, in a newer major for example, is no reason to do without the rest. */
async function giveSettings(run: Run, client: Session, saved: SavedDatabase, name: string): Promise<void> {
  for (const setting of saved.settings) {
    try {
      await ask(
        client,
        settingSql(name, setting),
        LIMIT,
        `set ${setting.name} for the database ${saved.name}`,
      )
    } catch (error) {
      if (!(error instanceof Failure) || error.code === ExitCode.tryLater) throw error
      run.report.warning(`cannot ${error.message}: ${error.reason}`)
    }
  }
}

const otherContents = (database: string, differences: readonly string[]): Failure =>
  new Failure(ExitCode.inputOutput, {
    message: `restore the database ${database}`,
    cause: `it comes out ${differences.join(', ')}`,
    hint: 'Its archive is damaged: take another backup with --backup NAME, and look at the disk (dmesg).',
  })
