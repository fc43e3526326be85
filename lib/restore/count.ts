import pg from 'pg'
import { type Counted, countLargeObjects, listExtensions, listTables } from '../backup/describe.ts'
import { identifier } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { statementFailure } from '../postgres/statement-failure.ts'

const LIMIT = 60_000

/** undefined_table, invalid_schema_name, wrong_object_type, undefined_column (PostgreSQL manual, appendix A). */
const ANOTHER_BY_NOW = new Set(['42P01', '3F000', '42809', '42703'])

/**
 * What is in the database of `client`, where its roles may be at work, without running anything of theirs: not even
 * `SELECT count(*)` is safe for a superuser, since the planner computes what is constant in the expressions of a
 * table's indexes (RelationGetIndexExpressions() of relcache.c). COPY plans nothing, and looks under its lock whether
 * it has a table (BeginCopyTo() of copyto.c): a view that has taken its name is refused, and counts as no table.
 */
export async function countInPlace(client: Session): Promise<Counted> {
  const tables: Counted['tables'] = []
  for (const { schema, name, narrow } of await listTables(client, LIMIT)) {
    const columns = narrow === undefined ? '' : ` (${identifier(narrow)})`
    const number = await copied(client, `${identifier(schema)}.${identifier(name)}${columns}`)
    if (number !== undefined) tables.push({ schema, name, rows: number })
  }
  return {
    extensions: await listExtensions(client, LIMIT),
    tables,
    largeObjects: await countLargeObjects(client, LIMIT),
  }
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
