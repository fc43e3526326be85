import type { SavedRole } from '../backup/terms.ts'
import { identifier, literal } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'

/** Milliseconds for a statement about roles. */
const LIMIT = 60_000

/** The comment of a role that was made for a restore which has not come to its end. */
const UNFINISHED = 'endoreg-restore: made for a restore that has not ended'

/**
 * Creates the roles of the backup that are missing, so that they can own things: without a login, until the restore
 * gives them all they had. One that owns an event trigger has to be a superuser from the beginning.
 *
 * @returns which of them are incomplete: just made, or by a restore that was killed
 */
export async function createMissingRoles(
  client: Session,
  roles: readonly SavedRole[],
): Promise<readonly string[]> {
  const [rows = []] = await ask(
    client,
    `SELECT rolname AS name, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles`,
    LIMIT,
    'look for the roles',
  )
  const present = new Map(rows.map(row => [String(row['name']), row['comment']]))
  const incomplete = roles.filter(({ name }) => !present.has(name) || present.get(name) === UNFINISHED)
  for (const { name, superuser } of incomplete) {
    if (present.has(name)) continue
    const role = identifier(name)
    await ask(
      client,
      `CREATE ROLE ${role} NOLOGIN${superuser ? ' SUPERUSER' : ''}; COMMENT ON ROLE ${role} IS ${literal(UNFINISHED)}`,
      LIMIT,
      `create the role ${name}`,
    )
  }
  return incomplete.map(({ name }) => name)
}
