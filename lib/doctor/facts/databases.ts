import { isRestoring } from '../../backup/terms.ts'
import { Failure } from '../../frame/failure.ts'
import type { Settings } from '../../frame/settings.ts'
import { explain } from '../../server/connection-problem.ts'
import { administratorGoal, type Problem } from '../../server/connection-terms.ts'
import { abandon, ask, openSession, type Session } from '../../server/session.ts'

/** A database in which nobody can do anything, or of which that could not be found out. */
export type ClosedDatabase = {
  readonly name: string
  /** Connections are off; DROP DATABASE was interrupted; its locale is gone; something else is wrong with it; or it is not known. */
  readonly state: 'closed' | 'invalid' | 'locale' | 'unusable' | 'unknown'
  /** Why, in PostgreSQL's words where it was asked. */
  readonly why: string
}

/**
 * `locale` is all that has to be there of the system for a session in a database, `whole` whether its files are where they
 * should be (GetDatabasePath() in relpath.c).
 */
const DATABASES = `
  SELECT datname AS name, datallowconn AS open, datconnlimit = -2 AS invalid,
         concat_ws(' ', datlocprovider, datcollate, datctype, columns ->> 'daticulocale', columns ->> 'datlocale') AS locale,
         datname = current_database() AS own,
         (pg_stat_file(CASE WHEN dattablespace = 1663 THEN 'base/'
            ELSE format('pg_tblspc/%s/PG_%s_%s/', dattablespace, current_setting('server_version_num')::int / 10000,
                        (SELECT catalog_version_no FROM pg_control_system())) END || oid || '/PG_VERSION', true)).size IS NOT NULL AS whole
    FROM pg_database AS d, to_jsonb(d) AS columns WHERE datname <> 'template0' ORDER BY datname`

/** Databases that are connected to at most: of those with one locale a single one. */
const MOST = 8

/**
 * The databases that a backup would want and cannot have: what is closed says the catalog; those that the catalog gives reason
 * to doubt are connected to. A session in a database shows that the locale is there which it has, and so have most.
 *
 * @param client the administrator's session
 * Fails as a statement does.
 */
export async function inspectClosed(
  client: Session,
  settings: Settings,
  limit: number,
): Promise<ClosedDatabase[]> {
  const [rows = []] = await ask(client, DATABASES, limit, 'look which databases take connections')
  const all = rows
    .map(row => ({
      name: String(row['name']),
      locale: String(row['locale']),
      open: row['open'] === true,
      invalid: row['invalid'] === true,
      own: row['own'] === true,
      whole: row['whole'] === true,
    }))
    .filter(({ name }) => !isRestoring(name))
  const ours = all.find(({ own }) => own)?.locale
  const open = all.filter(one => one.open && !one.invalid)
  const doubted = open.filter(({ locale, whole }) => locale !== ours || !whole)
  const keyOf = ({ name, locale, whole }: (typeof all)[number]): string => (whole ? locale : `of ${name}`)
  const isApplications = ({ name }: (typeof all)[number]): boolean => name === settings.dbName
  const first = new Map<string, string>()
  for (const one of [...doubted.filter(isApplications), ...doubted])
    if (!first.has(keyOf(one))) first.set(keyOf(one), one.name)
  const problems = new Map(
    await Promise.all(
      [...first].map(
        async ([key, name], index) =>
          [key, index < MOST ? await attempt(settings, name, limit) : UNTRIED] as const,
      ),
    ),
  )
  return all.flatMap((one): ClosedDatabase[] => {
    const { name } = one
    if (one.invalid)
      return [{ name, state: 'invalid', why: 'it is marked invalid: dropping it was interrupted' }]
    if (!one.open)
      return [{ name, state: 'closed', why: 'it takes no connections (ALLOW_CONNECTIONS false)' }]
    const problem = doubted.includes(one) ? problems.get(keyOf(one)) : undefined
    return problem ? [{ name, ...problem }] : []
  })
}

/** What is wrong with a database, whichever it is. */
type Closed = Pick<ClosedDatabase, 'state' | 'why'>

const UNTRIED: Closed = {
  state: 'unknown',
  why: `of the databases that are in doubt no more than ${MOST} are connected to`,
}

/** Why the administrator gets no session in a database; undefined where there is one. */
async function attempt(settings: Settings, name: string, limit: number): Promise<Closed | undefined> {
  try {
    abandon(await openSession(settings, name, limit, limit))
    return undefined
  } catch (error) {
    if (error instanceof Failure) return { state: 'unknown', why: error.reason }
    const problem = explain(error, administratorGoal(settings, name))
    return { state: stateOf(problem), why: problem.cause }
  }
}

function stateOf({ kind, stage }: Problem): ClosedDatabase['state'] {
  // Nothing was said about the database.
  if (stage !== 'refused') return 'unknown'
  switch (kind) {
    case 'no locale':
      return 'locale'
    case 'invalid database':
      return 'invalid'
    case 'takes no connections':
      return 'closed'
    // Its folder is gone.
    case 'no such database':
    case undefined:
      return 'unusable'
    // The administrator may not log in there, which says nothing about the database.
    default:
      return 'unknown'
  }
}
