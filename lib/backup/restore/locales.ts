import pg from 'pg'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { type Session, run as send } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { ask, statementFailure } from '../../server/statement-failure.ts'
import type { SavedDatabase } from '../terms.ts'

const LIMIT = 60_000

/** What PostgreSQL says of a locale that is not there, or of a provider that it was built without (appendix A). */
const NOT_HERE = new Set(['22023', '0A000', '42704'])

/**
 * Fails with 78 where the server of `client` does not have the locale of one of `databases`: PostgreSQL is asked to make
 * a collation of it, which is taken back.
 */
export async function requireLocales(
  client: Session,
  databases: readonly SavedDatabase[],
  major: number,
): Promise<void> {
  const asked = new Set<string>()
  for (const saved of databases) {
    for (const words of collationsOf(saved, major)) {
      if (asked.has(words)) continue
      asked.add(words)
      const why = await refusal(client, words)
      if (why !== undefined) throw notHere(saved.name, words, why)
    }
  }
}

/** The collations that have the locales of a database. */
export function collationsOf(
  { collate, ctype, provider, locale, icuRules }: SavedDatabase,
  major: number,
): string[] {
  const found = [`LC_COLLATE = ${literal(collate)}, LC_CTYPE = ${literal(ctype)}`]
  if (provider === 'i' && locale !== null && major >= 15) {
    const rules = icuRules === null ? '' : `, RULES = ${literal(icuRules)}`
    found.push(`PROVIDER = icu, LOCALE = ${literal(locale)}${rules}`)
  }
  if (provider === 'b' && locale !== null) found.push(`PROVIDER = builtin, LOCALE = ${literal(locale)}`)
  return found
}

/** Why there cannot be such a collation; one that is only not for the encoding of this session's database is there. */
async function refusal(client: Session, words: string): Promise<string | undefined> {
  const doing = 'look for the locales'
  await ask(client, 'BEGIN', LIMIT, doing)
  try {
    await send(client, `CREATE COLLATION pg_temp."endoreg-restore" (${words})`, LIMIT, doing)
    return undefined
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw statementFailure(error, doing)
    return NOT_HERE.has(error.code ?? '') ? error.message : undefined
  } finally {
    await ask(client, 'ROLLBACK', LIMIT, doing)
  }
}

const notHere = (database: string, words: string, why: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `restore the database ${database}`,
    cause: `this server has not its locale (${words}): ${why}`,
    hint: 'Make it on this host (Debian: dpkg-reconfigure locales; NixOS: i18n.supportedLocales), restart PostgreSQL, and run it again.',
  })
