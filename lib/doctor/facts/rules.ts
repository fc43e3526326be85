import type pg from 'pg'
import type { Settings } from '../../frame/settings.ts'
import { askFits, type Judge, type LoginAttempt } from '../../server/access/decide.ts'
import { inspectAccessFiles } from '../../server/access/inspect.ts'
import type { Rule } from '../../server/access/rules.ts'
import type { FileError } from '../../server/files.ts'

/** The access rules as PostgreSQL reads them in the files, which need not be what it has loaded. */
export type Rules = {
  readonly path: string
  readonly rules: readonly Rule[]
  /** The lines that it does not take. */
  readonly errors: readonly FileError[]
  /** Which rule decides about the logins of `triedLogins`. */
  readonly judge: Judge
}

/** The logins of the administrator and of the application: through the socket, and from each address. */
function triedLogins(settings: Settings, addresses: readonly string[]): LoginAttempt[] {
  const { adminRole, adminDatabase, dbUser, dbName } = settings
  const clients = [...new Set(['127.0.0.1', '::1', ...addresses])]
  return [
    { role: adminRole, database: adminDatabase },
    { role: dbUser, database: dbName },
  ].flatMap(login => [
    { type: 'local' as const, ...login },
    ...clients.flatMap(address =>
      [false, true].map(ssl => ({ type: 'host' as const, ...login, address, ssl })),
    ),
  ])
}

/**
 * Asks what the rules are, and which of them decides.
 *
 * @param client a superuser's session
 * @param limit milliseconds that a message gets
 * @param addresses the ones of the application
 */
export async function gatherRules(
  client: pg.Client,
  limit: number,
  settings: Settings,
  addresses: readonly string[],
): Promise<Rules> {
  const { hba, major, rules, ruleErrors } = await inspectAccessFiles(client, limit)
  const fits = await askFits(client, limit, major, rules, triedLogins(settings, addresses))
  return { path: hba.path, rules, errors: ruleErrors, judge: fits.judge(rules) }
}
