import type { SavedDatabase } from '../backup/terms.ts'
import type { Run } from '../command.ts'
import { inSession } from '../postgres/in-session.ts'
import { literal } from '../postgres/quote.ts'
import { ask } from '../postgres/statement-failure.ts'
import { splitList } from './settings-sql.ts'

const LIMIT = 60_000
/** Statements in one message. */
const AT_ONCE = 200

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
export async function givePaths(run: Run, { owner, settings }: SavedDatabase, name: string): Promise<void> {
  const paths = settings.filter(setting => setting.name === 'search_path')
  const usual = paths.flatMap(({ value }) => splitList(value)).map(word => (word === '$user' ? owner : word))
  const lacking = `NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\\_path=%')`
  await alter(run, name, lacking, schema => {
    const path = [...new Set([...usual, schema, 'public']), MARK]
    return `SET search_path TO ${path.map(literal).join(', ')}`
  })
}

/** Takes from the routines of the new database `name` what `givePaths` has given them. */
export async function takePaths(run: Run, name: string): Promise<void> {
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
