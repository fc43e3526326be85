import { hostname } from 'node:os'
import { ExitCode, Failure, type FailureCode } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { findAccount } from '../../host/accounts.ts'
import { measure } from '../../server/as-postgres.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { describeCluster, describeDatabases, inspectContents, LIMIT, select } from '../describe.ts'
import { type Backup, isInPlace, isRestoring, RESTORING, type SavedDatabase } from '../terms.ts'
import { listArchive, type Source, tablespacesIn } from './archive.ts'
import { listBound, listWorkers, refuseBound } from './databases.ts'
import { requireLocales } from './sql.ts'

/** What a restore would meet. */
export type Preview = {
  /** The server's. */
  readonly major: number
  /** pg_control's, which tells this cluster from every other one. */
  readonly identifier: string
  /** The databases there are, and their sizes in bytes; 0 where nobody can connect. */
  readonly present: ReadonlyMap<string, number>
  readonly tablespaces: readonly string[]
  /** Those of them that would not be what they are any more. */
  readonly overwritten: readonly string[]
  /** The background workers in them. */
  readonly workers: readonly string[]
}

/**
 * Inspects the server that `databases` of `backup` are to be restored into. Fails with 74 where there is no space
 * for them, 75 where something keeps a database from being replaced, 78 where this is no server for this backup, or
 * something bound to a database would be lost.
 */
export async function inspectBefore(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
): Promise<Preview> {
  return inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const { server, tablespaces } = await describeCluster(client)
    const { major, identifier } = server
    const source = { run, backup, databases, major }
    const gone = backup.description.tablespaces.filter(name => !tablespaces.includes(name))
    const needy: Needy[] = []
    for (const saved of databases) {
      const used = gone.length > 0 ? await tablespacesIn(source, saved) : new Set()
      needy.push({ ...saved, tablespaces: gone.filter(name => used.has(name)) })
    }
    const names = databases.map(({ name }) => name)
    const facts = { major, tablespaces, ...(await inspectServer(client, names)) }
    const warn = (text: string): void => run.report.warning(text)
    refuseServer(backup, needy, facts, run.values.has('yes-incomplete') ? warn : undefined)
    const beside = databases.filter(({ name }) => !isInPlace(name))
    await requireLocales(client, beside)
    const listed = await describeDatabases(client)
    const present = new Map(listed.map(({ shared, isOpen }) => [shared.name, isOpen ? shared.size : 0]))
    await requireSpace(run, client, beside)
    const overwritten: string[] = []
    for (const saved of databases.filter(({ name }) => present.has(name))) {
      if (!isInPlace(saved.name) || (await isUsed(source, saved))) overwritten.push(saved.name)
    }
    refuseBound(await listBound(client, overwritten), `restore the backup ${backup.name}`)
    const workers = await listWorkers(client, overwritten)
    return { major, identifier, tablespaces, present, overwritten, workers }
  })
}

/** Whether something in the place of which a backup is restored, where it is, has data in it. */
async function isUsed(source: Source, saved: SavedDatabase): Promise<boolean> {
  if ((await listArchive(source, saved)).length === 0) return false
  const { tables, largeObjects } = await inSession(source.run, saved.name, LIMIT, inspectContents)
  return tables.length > 0 || largeObjects > 0
}

/** Says what a restore would do, as changes in check mode. */
export function describePreview(
  run: Run,
  { name, size, description }: Backup,
  databases: readonly SavedDatabase[],
  { present, overwritten, workers }: Preview,
): void {
  const { report, check, values } = run
  const age = durationText((Date.now() - Date.parse(description.finished)) / 1000)
  report.note(
    `the backup ${name} of ${description.host} is ${age} old: ${count(description.databases.length, 'database')} of PostgreSQL ${description.server.version}, ${bytesText(size)}`,
  )
  const { omitted = [], configuration = [] } = description
  if (omitted.length > 0) report.note(`it is without what pg_dump does not save: ${omitted.join('; ')}`)
  if (configuration.length > 0) {
    report.note(
      `the server's configuration is in it to look at, and stays as it is here: ${configuration.map(({ path }) => path).join(', ')}`,
    )
  }
  if (description.host !== hostname()) report.warning(`this backup is of another host, ${description.host}`)
  for (const saved of databases) {
    const now = present.get(saved.name)
    const where = isInPlace(saved.name)
    if (where && !overwritten.includes(saved.name)) continue
    const [action, will] = where
      ? [
          `replace what has the same names in it by the backup's`,
          "the backup's replaces what has the same names in it",
        ]
      : now !== undefined
        ? [`replace by the backup's (${bytesText(now)} now)`, `will be replaced (${bytesText(now)} now)`]
        : ['create from the backup', 'will be created']
    if (check) report.change({ resource: `database ${saved.name}`, action })
    else report.note(`database ${saved.name}: ${will}`)
  }
  const others = [...present.keys()].filter(
    other => !isInPlace(other) && !isRestoring(other) && !databases.some(saved => saved.name === other),
  )
  if (others.length > 0) report.note(`not in the backup, and stay as they are: ${others.join(', ')}`)
  if (overwritten.length > 0)
    report.note('the sessions in what is replaced will be ended, those of the API too')
  if (workers.length > 0) report.warning(`background workers will be ended as well: ${workers.join('; ')}`)
  if (values.get('database') === undefined) {
    const { dbUser } = run.settings
    report.note(
      `roles get the attributes and passwords of the backup; ${dbUser} keeps the password in the vault`,
    )
  }
}

/** Inspects the server of `client`, into which databases called `names` are to be restored. */
async function inspectServer(client: Session, names: readonly string[]) {
  const [[facts] = [], prepared = [], extensions = [], roles = []] = await ask(
    client,
    `SELECT pg_is_in_recovery() AS recovery;
     SELECT format('%s in %s', gid, database) AS what FROM pg_prepared_xacts
      WHERE database IN (${names.map(literal).join(', ') || 'NULL'}) ORDER BY 1;
     SELECT name FROM pg_available_extensions; SELECT rolname AS name FROM pg_roles`,
    LIMIT,
    'look at the server',
  )
  return {
    /** Those that can be created there. */
    extensions: extensions.map(row => String(row['name'])),
    roles: roles.map(row => String(row['name'])),
    /** Whether it is a standby. */
    recovery: facts?.['recovery'] === true,
    /** The transactions that are prepared in what is to be replaced. */
    prepared: prepared.map(row => String(row['what'])),
  }
}

/** What a server has to offer to a restore. */
export type ServerFacts = Pick<Preview, 'major' | 'tablespaces'> & Awaited<ReturnType<typeof inspectServer>>

/** A database, and in which tablespaces that the server may lack its archive has objects. */
type Needy = SavedDatabase & { readonly tablespaces?: readonly string[] }

const ANYWAY = 'or leave out what needs it: --yes-incomplete HOSTNAME'

/** What of `wanted` is not among `there`, each once. */
const absent = (wanted: readonly string[], there: readonly string[]): string[] =>
  [...new Set(wanted)].filter(name => !there.includes(name))

/**
 * Fails with 78 where a server is none for this backup: an older major, a standby, one without the tablespaces,
 * extensions or roles; with 75 where something keeps a database from being replaced.
 *
 * @param warn where databases may come out with less than they had: told what is missing, instead
 */
export function refuseServer(
  { name, description }: Backup,
  databases: readonly Needy[],
  { major, tablespaces, extensions, roles, recovery, prepared }: ServerFacts,
  warn?: (text: string) => void,
): void {
  const refuse = (cause: string, hint: string, code: FailureCode = ExitCode.configuration): never => {
    throw new Failure(code, { message: `restore the backup ${name}`, cause, hint })
  }
  const lack = (noun: string, missing: readonly string[], hint: string): void => {
    if (missing.length === 0) return
    const cause = `this server has no ${noun} ${missing.join(' and ')}`
    if (warn) warn(cause)
    else refuse(cause, `${hint}; ${ANYWAY}`)
  }
  const made = description.server.major
  if (made > major) {
    refuse(
      `it was made by PostgreSQL ${made}, and this is PostgreSQL ${major}, which does not read what a newer one writes`,
      `Restore it on PostgreSQL ${made} or later.`,
    )
  }
  const used = databases.flatMap(({ tablespace, tablespaces: its = [] }) => [tablespace, ...its])
  const spaces = absent(used, ['pg_default', ...tablespaces])
  lack(
    'tablespace',
    spaces,
    `Create it, in an empty folder that belongs to PostgreSQL's account: CREATE TABLESPACE ${identifier(spaces[0] ?? '')} LOCATION '/FOLDER'`,
  )
  const needed = databases.flatMap(database => database.extensions.map(extension => extension.name))
  lack('extension', absent(needed, extensions), `Install the package that brings it for PostgreSQL ${major}`)
  const holders = databases.flatMap(({ owner, rights }) => [
    owner,
    ...(rights ?? []).flatMap(({ grantee }) => grantee ?? []),
  ])
  const unknown = absent(holders, [...roles, ...description.roles.map(role => role.name)])
  if (unknown.length > 0) {
    refuse(
      `neither this server nor the backup has the role ${unknown.join(' and ')}, which databases belong to or which has rights on them`,
      `Create it: CREATE ROLE ${identifier(unknown[0] ?? '')}`,
    )
  }
  if (recovery) {
    refuse(
      'this server is in recovery (a standby): what is in it comes from the primary',
      'Restore it on the primary.',
    )
  }
  if (prepared.length > 0) {
    refuse(
      `prepared transactions keep a database from being replaced: ${prepared.join('; ')}`,
      'In that database: COMMIT PREPARED or ROLLBACK PREPARED; then run it again.',
      ExitCode.tryLater,
    )
  }
}

/**
 * Fails with 74 where the databases do not fit in beside what is there; what cannot be looked at may fit. What killed
 * restores have left does not count: it goes first.
 */
async function requireSpace(run: Run, client: Session, databases: readonly SavedDatabase[]): Promise<void> {
  if (!run.settings.host.startsWith('/')) return
  const rows = await select(
    client,
    `SELECT s.spcname AS name, coalesce(nullif(pg_tablespace_location(s.oid), ''), current_setting('data_directory')) AS path,
            (SELECT coalesce(sum(pg_database_size(d.oid)), 0)::text FROM pg_database d
              WHERE d.dattablespace = s.oid AND d.datname LIKE ${literal(`${RESTORING}%`)}) AS leftovers
       FROM pg_tablespace s ORDER BY 1`,
    'look for the space that PostgreSQL has',
  )
  for (const row of rows) {
    const its = databases.filter(({ tablespace }) => tablespace === row['name'])
    requireBytes(run, String(row['path']), its, Number(row['leftovers']))
  }
}

/** Bytes that the log of changes takes beside. */
const BESIDE = 134_217_728

/**
 * Fails with 74 where `databases` do not fit into the file system of `path`.
 *
 * @param leftovers bytes that will be free before
 */
export function requireBytes(
  { settings }: Run,
  path: string,
  databases: readonly SavedDatabase[],
  leftovers = 0,
): void {
  if (databases.length === 0) return
  const postgres = findAccount(settings.postgresAccount)
  const [space] = postgres ? measure.as(postgres, [path]) : measure.here([path])
  const needed = databases.reduce((sum, { size }) => sum + size, BESIDE)
  if (!space || space.free + leftovers >= needed) return
  throw new Failure(ExitCode.inputOutput, {
    message: 'restore beside what is there',
    cause: `${path} has ${bytesText(space.free)} left, and this takes ${bytesText(needed)}`,
    hint: 'Free some space (df -h), or restore databases one by one: --database NAME',
  })
}
