import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { type Counted, describeDatabases, LIMIT, select } from '../describe.ts'
import { type SavedDatabase, tell } from '../terms.ts'
import { type How, listArchive, type Refused, restoreArchive, SECTIONS, type Source } from './archive.ts'
import { compareContents, compareShared, countInPlace, Incomplete } from './compare.ts'
import { drop, endingSessions, sessionsBefore } from './databases.ts'
import { commentSql, createSql, limitsSql, rightsSql, settingSql, splitList } from './sql.ts'

/** Milliseconds for what reads every row: as long as it takes, within a day. */
const DAY = 86_400_000
/** Statements in one message. */
const AT_ONCE = 200

/** What of a server a restore touches, and for whom. */
export type Target = Source & {
  /** The server's, where a database may be restored into another than it was in. */
  readonly tablespaces?: readonly string[]
  /** Whether the databases come beside what is there, under names of their own: nothing is replaced. */
  readonly beside?: true
  /** Whether they are only looked at: nobody will use them, or do with less than all of one. */
  readonly drill?: true
}

/** How a routine is marked whose search path is only for the restore: as the last of it, and the first of nobody's. */
const MARK = 'endoreg-restore'

/** Routines of `condition` that are not PostgreSQL's or an extension's; one that is written in C has no search path. */
const routines = (condition: string): string => `
  SELECT p.oid::regprocedure::text AS routine, n.nspname AS schema
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
   WHERE p.prokind <> 'a' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND l.lanname NOT IN ('internal', 'c')
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
     AND ${condition} ORDER BY 1`

/**
 * Gives the routines of the new database `name` that have no search path the one that they were likely written for:
 * the database's, their own schema, and public. pg_restore has none (CVE-2018-1058), so that what they name without a
 * schema is not found.
 */
async function givePaths(run: Run, { owner, settings }: SavedDatabase, name: string): Promise<void> {
  const paths = settings.filter(setting => setting.name === 'search_path')
  const usual = paths.flatMap(({ value }) => splitList(value)).map(word => (word === '$user' ? owner : word))
  const lacking = `NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\\_path=%')`
  await alter(run, name, lacking, schema => {
    const path = [...new Set([...usual, schema, 'public']), MARK]
    return `SET search_path TO ${path.map(literal).join(', ')}`
  })
}

/** Takes from the routines of the new database `name` what `givePaths` has given them. */
async function takePaths(run: Run, name: string): Promise<void> {
  const marked = `EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\\_path=%, "${MARK}"')`
  await alter(run, name, marked, () => 'RESET search_path')
}

async function alter(
  run: Run,
  name: string,
  condition: string,
  action: (schema: string) => string,
): Promise<void> {
  const doing = `give the functions of ${name} a search path`
  await inSession(run, name, LIMIT, async client => {
    // No event trigger has a say in what is no change.
    const [, rows = []] = await ask(
      client,
      `SET session_replication_role = replica; ${routines(condition)}`,
      LIMIT,
      doing,
    )
    const statements = rows.map(
      row => `ALTER ROUTINE ${String(row['routine'])} ${action(String(row['schema']))}`,
    )
    for (let start = 0; start < statements.length; start += AT_ONCE) {
      await ask(client, statements.slice(start, start + AT_ONCE).join('; '), LIMIT, doing)
    }
  })
}

/**
 * Restores `saved` into a new database `name`, which has everything then but its name and its limits.
 * Fails with 73 where it cannot be created. Where it does not hold what the backup says, all else is done before it fails
 * as `Incomplete`: with 73 where PostgreSQL refused something, else 74.
 */
export async function prepareNew(
  target: Target,
  client: Session,
  saved: SavedDatabase,
  name: string,
): Promise<void> {
  const { run } = target
  const refused = await fillNew(target, client, saved, name)
  tell(run, 'count the rows of', target.databases, saved, 1)
  const differences = compareContents(saved, await countContents(target, name))
  const statements = [commentSql(saved, name), ...(saved.rights === null ? [] : rightsSql(saved, name, []))]
  await ask(client, statements.join('; '), LIMIT, `give the database ${saved.name} its rights`)
  await giveSettings(run, client, saved, name)
  if (refused.length + differences.length > 0) throw new Incomplete(saved.name, refused, differences)
}

/**
 * Creates `name` and fills it from the archive of `saved`. Where a function stood in the way, once more: with a search
 * path for the functions, and each section's rights before the next begins.
 *
 * @returns what PostgreSQL refused in the end
 */
async function fillNew(
  target: Target,
  client: Session,
  saved: SavedDatabase,
  name: string,
): Promise<readonly Refused[]> {
  const { run, tablespaces, beside } = target
  const create = (): Promise<unknown> =>
    ask(client, createSql(saved, name, tablespaces), DAY, `create the database ${saved.name}`)
  const how: How = beside ? 'beside' : 'new'
  if (beside) {
    const lines = await listArchive(target, saved)
    const names = lines.flatMap(line => /^\d+; \d+ \d+ SUBSCRIPTION - (.*) \S+$/.exec(line)?.[1] ?? [])
    if (names.length > 0)
      run.report.warning(`not restored beside what is there: the subscriptions ${names.join(', ')}`)
  }
  await create()
  const refused = await restoreArchive(target, saved, name, how)
  if (!refused.some(({ routine }) => routine !== undefined)) return refused
  await drop(run, client, name)
  await create()
  const left: Refused[] = []
  for (const section of SECTIONS) {
    left.push(...(await restoreArchive(target, saved, name, how, section)))
    if (section === 'pre-data') await givePaths(run, saved, name)
  }
  await takePaths(run, name)
  const healed = refused.filter(({ object }) => !left.some(other => other.object === object))
  if (healed.length > 0) {
    run.report.warning(
      `the database ${saved.name}: functions of it that name other objects without a schema got a search_path while it was restored; give them one for good (ALTER FUNCTION ... SET search_path), since pg_restore has none: ${healed.map(({ object }) => object).join(', ')}`,
    )
  }
  return left
}

/**
 * Restores `saved` into the database of its name, in the place of what has the same names there; the rest stays.
 *
 * @returns how its contents differ from the backup then; undefined where there was nothing to restore
 */
export async function restoreInPlace(
  target: Target,
  client: Session,
  saved: SavedDatabase,
): Promise<readonly string[] | undefined> {
  const { name } = saved
  const { run } = target
  const current = (await describeDatabases(client)).find(
    ({ shared, isOpen }) => isOpen && shared.name === name,
  )?.shared
  const empty = (await listArchive(target, saved)).length === 0
  if (!empty) {
    const refused = await endingSessions(run, sessionsBefore(name), () =>
      restoreArchive(target, saved, name, 'in place'),
    )
    // All of it was taken back.
    if (refused.length > 0) throw new Incomplete(name, refused, [])
  }
  if (empty && current && compareShared(saved, current, false).length === 0) return undefined
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
  return empty ? [] : compareContents(saved, await countContents(target, name))
}

/** What is in the database `name`; where it will be used, it gets the statistics that its planner needs. */
const countContents = ({ run, drill }: Target, name: string): Promise<Counted> =>
  inSession(run, name, LIMIT, async client => {
    if (!drill) await analyzeAll(run, client, name)
    return countInPlace(client)
  })

/** Statistics come again by themselves: a table of which they cannot be made now is no reason to do without the table. */
async function analyzeAll(run: Run, client: Session, name: string): Promise<void> {
  const doing = `analyze the database ${name}`
  const all = `SELECT format('%I.%I', n.nspname, c.relname) AS relation FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`
  let why = await unlessRefused(() => ask(client, 'ANALYZE', DAY, doing))
  if (why === undefined) return
  const rows = await select(client, all, doing)
  const without: string[] = []
  for (const row of rows) {
    const relation = String(row['relation'])
    const refusal = await unlessRefused(() => ask(client, `ANALYZE ${relation}`, DAY, doing))
    if (refusal !== undefined) without.push(relation)
    why = refusal ?? why
  }
  run.report.warning(`there are no statistics for the planner of ${without.join(', ')}: ${why}`)
}

/** Why PostgreSQL refuses `work`; undefined where it does not. Fails where the server is the matter. */
async function unlessRefused(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (
      !(error instanceof Failure) ||
      error.code === ExitCode.tryLater ||
      error.code === ExitCode.inputOutput
    )
      throw error
    return error.reason
  }
}

/** A setting that PostgreSQL does not know, in a newer major for example, is no reason to do without the rest. */
async function giveSettings(run: Run, client: Session, saved: SavedDatabase, name: string): Promise<void> {
  for (const setting of saved.settings) {
    const set = `set ${setting.name} for the database ${saved.name}`
    const why = await unlessRefused(() => ask(client, settingSql(name, setting), LIMIT, set))
    if (why !== undefined) run.report.warning(`cannot ${set}: ${why}`)
  }
}
