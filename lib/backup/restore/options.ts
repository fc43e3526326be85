import { ExitCode, Failure } from '../../frame/failure.ts'
import { misused, type Run } from '../../frame/run.ts'
import { type Backup, isRestoring, type SavedDatabase } from '../terms.ts'
import type { Preview } from './preview.ts'

/** Bytes of a name (NAMEDATALEN of pg_config_manual.h). */
const LONGEST_NAME = 63

/** Fails with 64 where options of restore-postgres do not go with one another. */
export function refuseContradictory({
  flags,
  values,
  report,
}: Pick<Run, 'flags' | 'values' | 'report'>): void {
  const contradictory = (option: string, why: string): Failure =>
    misused(report.command, `${why}, so ${option} does not go with it`)
  if (values.has('host') && !flags.has('remote')) {
    throw contradictory('--host', 'only copies that restic keeps (--remote) are of several hosts')
  }
  if (values.has('as') && !values.has('database')) {
    throw contradictory('--as', 'only one database gets another name (--database)')
  }
  if (!flags.has('drill') || flags.has('list')) return
  const other = ['no-backup', 'database', 'yes-overwrite', 'yes-incomplete'].find(
    option => flags.has(option) || values.has(option),
  )
  if (other !== undefined) throw contradictory(`--${other}`, '--drill replaces nothing')
}

/** The databases of the backup that are restored: all, or `only` one. Fails with 64 where it has none of that name. */
export function select({ name, description }: Backup, only: string | undefined): readonly SavedDatabase[] {
  if (only === undefined) return description.databases
  const found = description.databases.filter(database => database.name === only)
  if (found.length > 0) return found
  throw new Failure(ExitCode.usage, {
    message: `restore the database ${only}`,
    cause: `the backup ${name} has none of that name`,
    hint: `It has: ${description.databases.map(database => database.name).join(', ')}`,
  })
}

/** Fails with 64 where `name` is no name for a database that is restored beside what is there. */
export function requireOwn(name: string): void {
  const cause =
    Buffer.byteLength(name) > LONGEST_NAME
      ? `it has more than ${LONGEST_NAME} bytes, and PostgreSQL would cut it off`
      : isRestoring(name)
        ? 'such names are taken by restores, which drop what has them'
        : undefined
  if (cause !== undefined) throw badName(name, cause)
}

/** Fails with 64 where there is a database of that name. */
export function requireFree(name: string, { present }: Preview): void {
  if (present.has(name) || name === 'template0') throw badName(name, 'there is a database of that name')
}

const badName = (name: string, cause: string): Failure =>
  new Failure(ExitCode.usage, {
    message: `restore a database as ${name}`,
    cause,
    hint: 'Nothing was touched. Give another name with --as NAME.',
  })
