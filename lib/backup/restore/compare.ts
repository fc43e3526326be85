import { hostname } from 'node:os'
import * as v from 'valibot'
import { canAsk, confirmHost } from '../../frame/confirm.ts'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { sentences } from '../../frame/text.ts'
import { means, statementFailure } from '../../server/problem.ts'
import type { Session } from '../../server/session.ts'
import { identifier } from '../../server/sql.ts'
import { type Counted, inspectContents, type SharedDescription } from '../describe.ts'
import { type SavedDatabase, type SavedRole, savedRole } from '../terms.ts'
import { describeRefused, type Refused } from './archive.ts'
import { defaultRights } from './sql.ts'

/** What one sentence names. */
const MOST = 5

function list(names: readonly string[]): string {
  const rest = names.length - MOST
  const shown = names.slice(0, MOST).join(', ')
  return rest > 0 ? `${shown} and ${rest} more` : shown
}

/** What the one has and the other has not, by `key`. */
function missing<T>(has: readonly T[], lacks: readonly T[], key: (item: T) => string): T[] {
  const known = new Set(lacks.map(key))
  return has.filter(item => !known.has(key(item)))
}

const plural = (names: readonly string[], noun: string): string =>
  `${noun}${names.length === 1 ? '' : 's'} ${list(names)}`

/** The sentences for what is missing, or there beside what the backup says; `show` is how a person knows it. */
function differing<T>(
  saved: readonly T[],
  found: readonly T[],
  noun: string,
  show: (item: T) => string,
  key: (item: T) => string = show,
): string[] {
  const gone = missing(saved, found, key).map(show)
  const extra = missing(found, saved, key).map(show)
  return [
    ...(gone.length > 0 ? [`without the ${plural(gone, noun)}`] : []),
    ...(extra.length > 0 ? [`with the ${plural(extra, noun)}, of which the backup does not know`] : []),
  ]
}

type Named = { readonly schema: string; readonly name: string }
const tableName = ({ schema, name }: Named): string => `${schema}.${name}`
/** Names may have dots themselves. */
const tableKey = ({ schema, name }: Named): string => JSON.stringify([schema, name])
const itself = (name: string): string => name

/** How what a restored database contains differs from what the backup says; empty where it does not. */
export function compareContents(saved: SavedDatabase, found: Counted): string[] {
  const rows = new Map(found.tables.map(item => [tableKey(item), item.rows]))
  const wrong = saved.tables.flatMap(item => {
    const number = rows.get(tableKey(item))
    return number === undefined || number === item.rows
      ? []
      : [`${tableName(item)} ${number} instead of ${item.rows}`]
  })
  return [
    ...differing<Named>(saved.tables, found.tables, 'table', tableName, tableKey),
    ...(wrong.length > 0 ? [`with other numbers of rows: ${list(wrong)}`] : []),
    ...(saved.largeObjects === found.largeObjects
      ? []
      : [`with ${found.largeObjects} instead of ${saved.largeObjects} large objects`]),
    // Its version is the host's: an archive says only that there is one.
    ...differing(saved.extensions, found.extensions, 'extension', ({ name }) => name),
  ]
}

/** What CREATE DATABASE decides for ever. */
const FIXED = ['encoding', 'collate', 'ctype', 'provider', 'locale', 'icuRules', 'tablespace'] as const
const OTHER = ['owner', 'connectionLimit', 'isTemplate', 'comment'] as const

/**
 * How a restored database differs from what the backup says of it, other than by its contents.
 *
 * @param made whether it was created for that, and not there before
 */
export function compareShared(saved: SavedDatabase, found: SharedDescription, made: boolean): string[] {
  const rights = ({ rights: own, owner }: Pick<SavedDatabase, 'rights' | 'owner'>): string[] =>
    (own ?? defaultRights(owner)).map(({ grantee, privilege, grantable, grantor = owner }) => {
      // An owner can grant all rights anyway.
      const more = grantable && grantee !== owner ? ' with grant option' : ''
      return `${privilege} of ${grantee ?? 'PUBLIC'}${more}${grantor === owner ? '' : ` by ${grantor}`}`
    })
  const setting = ({ role, name, value }: SavedDatabase['settings'][number]): string =>
    `${name} = ${value}${role === null ? '' : ` of ${role}`}`
  return [
    ...[...(made ? FIXED : []), ...OTHER]
      .filter(name => saved[name] !== found[name])
      .map(name => `with ${name} ${found[name] ?? 'none'} instead of ${saved[name] ?? 'none'}`),
    ...differing(rights(saved), rights(found), 'right', itself),
    ...differing(saved.settings, found.settings, 'setting', setting),
  ]
}

const FLAGS = v.keyof(v.omit(savedRole, ['name', 'memberOf'])).options

/** How roles differ from what the backup says, a sentence for each; those that the backup does not have are left out. */
export function compareRoles(saved: readonly SavedRole[], found: readonly SavedRole[]): string[] {
  const present = new Map(found.map(role => [role.name, role]))
  return saved.flatMap(role => {
    const its = present.get(role.name)
    if (!its) return [`role ${role.name}: missing`]
    const differences = [
      ...FLAGS.filter(flag => role[flag] !== its[flag]).map(
        flag => `with ${flag} ${its[flag]} instead of ${role[flag]}`,
      ),
      ...differing(role.memberOf, its.memberOf, 'membership', itself),
    ]
    return differences.length === 0 ? [] : [`role ${role.name}: ${differences.join(', ')}`]
  })
}

/**
 * What is in the database of `client`, where its roles may be at work, without running anything of theirs: not even
 * `SELECT count(*)` is safe for a superuser, since the planner computes what is constant in the expressions of a
 * table's indexes (RelationGetIndexExpressions() of relcache.c). COPY plans nothing, and looks under its lock whether
 * it has a table (BeginCopyTo() of copyto.c): a view that has taken its name is refused, and counts as no table.
 */
export async function countInPlace(client: Session): Promise<Counted> {
  const contents = await inspectContents(client)
  const tables: Counted['tables'] = []
  for (const { schema, name, narrow } of contents.tables) {
    const columns = narrow === undefined ? '' : ` (${identifier(narrow)})`
    const number = await copied(client, `${identifier(schema)}.${identifier(name)}${columns}`)
    if (number !== undefined) tables.push({ schema, name, rows: number })
  }
  return { ...contents, tables }
}

/** How many rows COPY writes of `table`; undefined where there is no such table any more. */
async function copied(client: Session, table: string): Promise<number | undefined> {
  try {
    return (await client.query(`COPY ${table} TO '/dev/null'`)).rowCount ?? undefined
  } catch (error) {
    if (means(error, 'another object by now')) return undefined
    throw statementFailure(error, `count the rows of ${table}`)
  }
}

/** A database of whose archive PostgreSQL did not take everything, or which holds something else than the backup says. */
export class Incomplete extends Failure {
  readonly database: string
  /** What is missing or different: a sentence for each. */
  readonly lost: readonly string[]

  constructor(database: string, refused: readonly Refused[], differences: readonly string[]) {
    const lost = [...refused.map(describeRefused), ...differences]
    const more = lost.length > MOST ? [`and ${lost.length - MOST} more`] : []
    const cause = `it comes out ${[...lost.slice(0, MOST), ...more].join(', ')}`
    const [code, hint] =
      refused.length > 0
        ? ([ExitCode.cannotCreate, NOT_TAKEN] as const)
        : ([ExitCode.inputOutput, DAMAGED] as const)
    super(code, { message: `restore the database ${database}`, cause, hint })
    this.database = database
    this.lost = lost
  }
}

const NOT_TAKEN =
  'The archive is sound, but PostgreSQL does not take these objects of it any more; it says why.'
const DAMAGED =
  'Its archive is damaged: take another backup with --backup NAME, and look at the disk (dmesg).'

/** Names all that is missing, and asks whether it is to be so. */
export async function acceptIncomplete(run: Run, lacking: readonly Incomplete[]): Promise<boolean> {
  for (const { database, lost } of lacking) {
    for (const sentence of lost) run.report.warning(`the database ${database} would come back ${sentence}`)
  }
  const names = lacking.map(({ database }) => database).join(', ')
  if (!run.values.has('yes-incomplete')) {
    if (!canAsk()) return false
    run.report.note(`what ${names} was is kept then; typed otherwise, it stays in its place`)
  }
  try {
    await confirmHost(run, `restore ${names} without that`, 'yes-incomplete')
    return true
  } catch (error) {
    if (error instanceof Failure && error.code === ExitCode.usage) return false
    throw error
  }
}

/** Whether a failure is a database's own, so that the others can come back. */
export const isOwn = (failure: Failure): boolean =>
  failure instanceof Incomplete || failure.code === ExitCode.cannotCreate

/** The Failure for a restore in which databases did not come back, and `restored` did. */
export function outcome(failures: ReadonlyMap<string, Failure>, restored: readonly string[]): Failure {
  const [first] = failures.values()
  if (!first) throw new Error('nothing has failed')
  const [name = ''] = failures.keys()
  const one = failures.size === 1
  const rest = restored.length > 0 ? `What is restored: ${restored.join(', ')}.` : 'Nothing was replaced.'
  const ways =
    first instanceof Incomplete
      ? ` A way to the data: --database '${name}' --as NAME --yes-incomplete ${hostname()} restores it beside what is there, without what is named above.`
      : ''
  return new Failure(first.code, {
    message: one ? first.message : `restore the databases ${[...failures.keys()].join(', ')}`,
    cause: one ? first.reason : [...failures].map(([its, { reason }]) => `${its}: ${reason}`).join('; '),
    hint: sentences(first.hint, `${one ? 'It stays as it was' : 'They stay as they were'}. ${rest}${ways}`),
  })
}
