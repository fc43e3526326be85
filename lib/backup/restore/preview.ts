import { hostname } from 'node:os'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import type { Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { ask } from '../../server/statement-failure.ts'
import {
  countLargeObjects,
  describeCluster,
  describeDatabases,
  listTables,
  type SharedPart,
} from '../describe.ts'
import { type Backup, isRestoring, type SavedDatabase } from '../terms.ts'
import { listArchive, tablespacesIn } from './archive.ts'
import { isInPlace, listBound, listWorkers, refuseBound } from './bound.ts'
import { requireLocales } from './locales.ts'
import { requireSpace } from './space.ts'

/** A server that is to be restored into. */
export type Target = {
  readonly major: number
  readonly tablespaces: readonly string[]
  /** The extensions that can be created there. */
  readonly extensions: readonly string[]
  readonly roles: readonly string[]
  /** Whether it is a standby. */
  readonly recovery: boolean
  /** The transactions that are prepared in what is to be replaced. */
  readonly prepared: readonly string[]
}

/** A database, and in which tablespaces that the server may lack its archive has objects. */
type Needy = SavedDatabase & { readonly tablespaces?: readonly string[] }
type Warn = (text: string) => void

/**
 * Fails with 78 where the server of `client` is none for this backup: an older major, a standby, one without the
 * tablespaces, extensions or roles; with 75 where something keeps a database from being replaced.
 *
 * @param warn where it may come out with less than it had: told what is missing, instead
 */
async function refuseUnfit(
  client: Session,
  backup: Backup,
  databases: readonly Needy[],
  server: Pick<Target, 'major' | 'tablespaces'>,
  warn: Warn | undefined,
): Promise<void> {
  const names = databases.map(database => literal(database.name)).join(', ') || 'NULL'
  const [[facts] = [], prepared = [], extensions = [], roles = []] = await ask(
    client,
    `SELECT pg_is_in_recovery() AS recovery;
     SELECT format('%s in %s', gid, database) AS what FROM pg_prepared_xacts WHERE database IN (${names}) ORDER BY 1;
     SELECT name FROM pg_available_extensions; SELECT rolname AS name FROM pg_roles`,
    LIMIT,
    'look at the server',
  )
  const target: Target = {
    ...server,
    extensions: extensions.map(row => String(row['name'])),
    roles: roles.map(row => String(row['name'])),
    recovery: facts?.['recovery'] === true,
    prepared: prepared.map(row => String(row['what'])),
  }
  refuseTarget(backup, databases, target, warn)
}

const ANYWAY = 'or leave out what needs it: --yes-incomplete HOSTNAME'

/** What of `wanted` is not among `there`, each once. */
const absent = (wanted: readonly string[], there: readonly string[]): string[] =>
  [...new Set(wanted)].filter(name => !there.includes(name))

/** As `refuseUnfit`, of a server that was looked at. */
export function refuseTarget(
  { name, description }: Backup,
  databases: readonly Needy[],
  { major, tablespaces, extensions, roles, recovery, prepared }: Target,
  warn?: Warn,
): void {
  const message = `restore the backup ${name}`
  if (description.server.major > major) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `it was made by PostgreSQL ${description.server.major}, and this is PostgreSQL ${major}, which does not read what a newer one writes`,
      hint: `Restore it on PostgreSQL ${description.server.major} or later.`,
    })
  }
  const lack = (noun: string, missing: readonly string[], hint: string): void => {
    if (missing.length === 0) return
    const cause = `this server has no ${noun} ${missing.join(' and ')}`
    if (!warn) throw new Failure(ExitCode.configuration, { message, cause, hint })
    warn(cause)
  }
  const used = databases.flatMap(({ tablespace, tablespaces: its = [] }) => [tablespace, ...its])
  const spaces = absent(used, ['pg_default', ...tablespaces])
  lack(
    'tablespace',
    spaces,
    `Create it, in an empty folder that belongs to PostgreSQL's account: CREATE TABLESPACE ${identifier(spaces[0] ?? '')} LOCATION '/FOLDER'; ${ANYWAY}`,
  )
  lack(
    'extension',
    absent(
      databases.flatMap(database => database.extensions.map(extension => extension.name)),
      extensions,
    ),
    `Install the package that brings it for PostgreSQL ${major}; ${ANYWAY}`,
  )
  const known = [...roles, ...description.roles.map(role => role.name)]
  const owners = absent(
    databases.flatMap(({ owner, rights }) => [
      owner,
      ...(rights ?? []).flatMap(({ grantee }) => grantee ?? []),
    ]),
    known,
  )
  if (owners.length > 0) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `neither this server nor the backup has the role ${owners.join(' and ')}, which databases belong to or which has rights on them`,
      hint: `Create it: CREATE ROLE ${identifier(owners[0] ?? '')}`,
    })
  }
  if (recovery) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: 'this server is in recovery (a standby): what is in it comes from the primary',
      hint: 'Restore it on the primary.',
    })
  }
  if (prepared.length > 0) {
    throw new Failure(ExitCode.tryLater, {
      message,
      cause: `prepared transactions keep a database from being replaced: ${prepared.join('; ')}`,
      hint: 'In that database: COMMIT PREPARED or ROLLBACK PREPARED; then run it again.',
    })
  }
}

const LIMIT = 60_000

/** What a restore would meet. */
export type Prospect = {
  /** The server's. */
  readonly major: number
  /** pg_control's, which tells this cluster from every other one. */
  readonly identifier: string
  /** The databases there are, with what they are now. */
  readonly present: ReadonlyMap<string, Pick<SharedPart, 'size'>>
  readonly tablespaces: readonly string[]
  /** Those of them that would not be what they are any more. */
  readonly overwritten: readonly string[]
  /** The background workers in them. */
  readonly workers: readonly string[]
}

/**
 * Looks at the server that `databases` of `backup` are to be restored into. Fails with 74 where there is no space
 * for them, 75 where something keeps a database from being replaced, 78 where this is no server for this backup, or
 * something bound to a database would be lost.
 */
export async function lookAt(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
): Promise<Prospect> {
  return inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const { server, tablespaces } = await describeCluster(client, LIMIT)
    const { major, identifier } = server
    const gone = backup.description.tablespaces.filter(name => !tablespaces.includes(name))
    const needy: Needy[] = []
    for (const saved of databases) {
      const used = gone.length > 0 ? await tablespacesIn(run, backup, saved, major) : new Set()
      needy.push({ ...saved, tablespaces: gone.filter(name => used.has(name)) })
    }
    const lenient = run.values.has('yes-incomplete')
    const warn = lenient ? (text: string) => run.report.warning(text) : undefined
    await refuseUnfit(client, backup, needy, { major, tablespaces }, warn)
    const beside = databases.filter(({ name }) => !isInPlace(name))
    await requireLocales(client, beside, major)
    const { databases: open, closed } = await describeDatabases(client, major, LIMIT)
    const present = new Map<string, Pick<SharedPart, 'size'>>(open.map(part => [part.name, part]))
    for (const name of closed) present.set(name, { size: 0 })
    await requireSpace(run, client, beside)
    const overwritten: string[] = []
    for (const saved of databases.filter(({ name }) => present.has(name))) {
      if (!isInPlace(saved.name) || (await isUsed(run, backup, saved, major))) overwritten.push(saved.name)
    }
    refuseBound(await listBound(client, overwritten), `restore the backup ${backup.name}`)
    return {
      major,
      identifier,
      tablespaces,
      present,
      overwritten,
      workers: await listWorkers(client, overwritten),
    }
  })
}

/** Whether something in the place of which a backup is restored, where it is, has data in it. */
async function isUsed(run: Run, backup: Backup, saved: SavedDatabase, major: number): Promise<boolean> {
  if ((await listArchive(run, backup, saved, major)).length === 0) return false
  return inSession(run, saved.name, LIMIT, async client => {
    const tables = await listTables(client, LIMIT)
    return tables.length > 0 || (await countLargeObjects(client, LIMIT)) > 0
  })
}

/** Says what a restore would do, as changes in check mode. */
export function tellProspect(
  run: Run,
  { name, size, description }: Backup,
  databases: readonly SavedDatabase[],
  { present, overwritten, workers }: Prospect,
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
      : now
        ? [
            `replace by the backup's (${bytesText(now.size)} now)`,
            `will be replaced (${bytesText(now.size)} now)`,
          ]
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
