import pg from 'pg'
import { type Counted, countRows } from '../backup/describe.ts'
import { identifier } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask, statementFailure } from '../postgres/statement-failure.ts'

const LIMIT = 60_000

/** As `listTables` of a backup, with the column that COPY writes soonest; none where all are computed. */
const TABLES = `
  SELECT n.nspname AS schema, c.relname AS name,
         (SELECT a.attname FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
           ORDER BY a.attlen < 0, a.attlen, a.attnum LIMIT 1) AS narrow
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relpersistence <> 't'
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`

/** undefined_table, invalid_schema_name, wrong_object_type, undefined_column (PostgreSQL manual, appendix A). */
const ANOTHER_BY_NOW = new Set(['42P01', '3F000', '42809', '42703'])

/**
 * What is in the database of `client`, where its roles may be at work, without running anything of theirs: not even
 * `SELECT count(*)` is safe for a superuser, since the planner computes what is constant in the expressions of a
 * table's indexes (RelationGetIndexExpressions() of relcache.c). COPY plans nothing, and looks under its lock whether
 * it has a table (BeginCopyTo() of copyto.c): a view that has taken its name is refused, and counts as no table.
 */
export async function countInPlace(client: Session): Promise<Counted> {
  const [rows = []] = await ask(client, TABLES, LIMIT, 'list the tables')
  const tables: Counted['tables'] = []
  for (const row of rows) {
    const [schema, name] = [String(row['schema']), String(row['name'])]
    const columns = row['narrow'] === null ? '' : ` (${identifier(String(row['narrow']))})`
    const number = await copied(client, `${identifier(schema)}.${identifier(name)}${columns}`)
    if (number !== undefined) tables.push({ schema, name, rows: number })
  }
  const { extensions, largeObjects } = await countRows(client, [], LIMIT)
  return { extensions, largeObjects, tables }
}

/** How many rows COPY writes of `table`; undefined where there is no such table any more. */
async function copied(client: Session, table: string): Promise<number | undefined> {
  try {
    return (await client.query(`COPY ${table} TO '/dev/null'`)).rowCount ?? undefined
  } catch (error) {
    if (error instanceof pg.DatabaseError && ANOTHER_BY_NOW.has(error.code ?? '')) return undefined
    throw statementFailure(error, `count the rows of ${table}`)
  }
}
