import { ExitCode, Failure } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { CREATE_PUBLIC, FOREIGN_OBJECTS } from '../../server/needs.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Rows, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import type { Remedy } from './remedy.ts'

/** Milliseconds for a statement of a remedy, and for its locks. */
const LIMIT = 30_000

/** One transaction in the application's database, in which its event triggers have no say. */
const inTransaction = <T>(run: Run, doing: string, work: (client: Session) => Promise<T>): Promise<T> =>
  inSession(run, run.settings.dbName, LIMIT, async client => {
    await ask(client, 'BEGIN; SET LOCAL session_replication_role = replica', LIMIT, doing)
    const result = await work(client)
    await ask(client, 'COMMIT', LIMIT, doing)
    return result
  })

export const schema: Remedy = {
  fix: 'schema',
  does: subjects => `let the application's role make tables in the schema public of ${subjects}`,
  apply: async (run, findings) => {
    const { dbName, dbUser } = run.settings
    const missing = findings.some(({ id }) => id === 'schema-missing')
    const sql = missing ? CREATE_PUBLIC : `GRANT CREATE ON SCHEMA public TO ${identifier(dbUser)}`
    const doing = `give ${dbUser} the right to make tables in ${dbName}`
    await inTransaction(run, doing, client => ask(client, sql, LIMIT, doing))
    run.report.change({
      resource: `database ${dbName}`,
      action: missing ? 'create schema public' : `grant CREATE on schema public to ${dbUser}`,
    })
  },
}

/** Selects what belongs to the administrator in the database of `role`. */
const ofAdministrator = (role: string): string => `
  SELECT o.oid, o.kind, o.name FROM pg_roles AS r, LATERAL (${FOREIGN_OBJECTS}) AS o
   WHERE r.rolname = ${literal(role)} AND o.owner = (SELECT oid FROM pg_roles WHERE rolname = current_user)`

/**
 * Selects what belongs to the administrator and can be given to `role` without a loss: a view, and the rule of a table,
 * work with the rights of the owner, and stay where they are until the role may read all that is named there.
 */
const givable = (role: string): string => `${ofAdministrator(role)}
     AND NOT EXISTS (
       SELECT FROM pg_rewrite AS w, regexp_matches(w.ev_action::text, ':relid ([0-9]+)', 'g') AS m, pg_class AS c
        WHERE w.ev_class = o.oid AND o.kind <> 'schema'
          AND c.oid = m[1]::oid AND c.oid <> o.oid AND NOT has_table_privilege(r.oid, c.oid, 'SELECT'))
   ORDER BY o.oid`

/** Statements that go in one message. */
const AT_ONCE = 100

/** Gives `role` what of the administrator it can be given, turn by turn: a view may read another one. */
async function giveAll(client: Session, role: string, doing: string): Promise<Rows> {
  const given: Rows[number][] = []
  for (;;) {
    const [rows = []] = await ask(client, givable(role), LIMIT, doing)
    if (rows.length === 0) return given
    // A name that means another object by now leaves the one that was looked at where it was.
    if (rows.some(({ oid }) => given.some(one => one['oid'] === oid))) throw renamed(doing)
    const statements = rows.map(
      ({ kind, name }) => `ALTER ${String(kind).toUpperCase()} ${String(name)} OWNER TO ${identifier(role)}`,
    )
    for (let start = 0; start < statements.length; start += AT_ONCE)
      await ask(client, statements.slice(start, start + AT_ONCE).join('; '), LIMIT, doing)
    given.push(...rows)
  }
}

const renamed = (message: string): Failure =>
  new Failure(ExitCode.tryLater, {
    message,
    cause: 'somebody renames them meanwhile',
    hint: 'Nothing was changed; run it again.',
  })

export const objects: Remedy = {
  fix: 'objects',
  does: subjects =>
    `give the application's role the tables, sequences, views and schemas in its database of ${subjects}`,
  apply: async run => {
    const { dbName, dbUser } = run.settings
    const doing = `give ${dbUser} what is in ${dbName}`
    const [given, left] = await inTransaction(run, doing, async client => {
      const all = await giveAll(client, dbUser, doing)
      const [rest = []] = await ask(client, `${ofAdministrator(dbUser)} ORDER BY o.name`, LIMIT, doing)
      return [all.length, rest.map(({ kind, name }) => `${String(kind)} ${String(name)}`)]
    })
    const action = `give ${count(given, 'object')} to ${dbUser}`
    if (given > 0) run.report.change({ resource: `database ${dbName}`, action })
    if (left.length > 0)
      run.report.warning(
        `left as it is, because it reads what ${dbUser} may not: ${left.join(', ')}. Give ${dbUser} the right to read that, or drop it.`,
      )
  },
}
