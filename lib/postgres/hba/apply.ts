import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { ExitCode, Failure } from '../../errors.ts'
import { restoreAccessFile, rewriteAccessFile } from '../../files/access-file.ts'
import type { Account } from '../../files/accounts.ts'
import { ask } from '../statement-failure.ts'
import type { Rewrite } from './desired.ts'

/** PostgreSQL's own opinion of what is in its files now, loaded or not; of identity maps since 15. */
const ERRORS = {
  'access rules': `SELECT line_number AS line, error FROM pg_hba_file_rules WHERE error IS NOT NULL`,
  'identity map': `SELECT line_number AS line, error FROM pg_ident_file_mappings WHERE error IS NOT NULL`,
} as const

/** One of PostgreSQL's two files. */
export type AccessKind = keyof typeof ERRORS

/**
 * Writes one of the files, and asks PostgreSQL whether it has errors then; if so, puts the old one back. Not in
 * force before `reload`.
 *
 * @param owner whose file it is, and with whose rights it is written
 * @param limit milliseconds a statement gets
 * Fails with 78 where PostgreSQL finds an error, before or after.
 */
export async function writeAccess(
  kind: AccessKind,
  rewrite: Rewrite,
  owner: Account,
  { client, major, limit }: { client: pg.Client; major: number; limit: number },
): Promise<void> {
  const { path, before, after } = rewrite
  const findError = async (): Promise<string | undefined> => {
    if (kind === 'identity map' && major < 15) return undefined
    const [rows] = await ask(client, ERRORS[kind], limit, `look for errors in ${path}`)
    const [first] = rows ?? []
    return first && `line ${String(first['line'])}: ${String(first['error'])}`
  }
  const already = await findError()
  if (already) throw faulty(kind, path, `it has an error, so PostgreSQL would load nothing of it: ${already}`)
  rewriteAccessFile(owner, path, before, after)
  const error = await findError().catch((failure: unknown) => {
    restoreAccessFile(owner, path, before, after)
    throw failure
  })
  if (!error) return
  restoreAccessFile(owner, path, before, after)
  throw faulty(kind, path, `PostgreSQL does not take them (${error}), so the file is as it was again`)
}

const faulty = (kind: AccessKind, path: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `write the ${kind} in ${path}`,
    cause,
    hint: 'Correct that line, in the file or in the manifest, and run it again. What is loaded stays in force meanwhile.',
  })

/** Milliseconds in which PostgreSQL has to take note of a reload. */
const RELOAD_LIMIT = 10_000
const POLL = 5

/**
 * Has PostgreSQL load its files, and waits until it has: a session sees the new time of loading when the
 * postmaster has told it, which it does before it lets anybody else in (postmaster.c, process_pm_reload_request).
 *
 * Fails with 75 where it takes no note of it.
 */
export async function reload(client: pg.Client, limit: number): Promise<void> {
  const message = 'reload the access rules'
  const loaded = async (text: string): Promise<string> => {
    const [rows] = await ask(client, text, limit, message)
    return String(rows?.[0]?.['loaded'])
  }
  const before = await loaded('SELECT pg_conf_load_time()::text AS loaded')
  await ask(client, 'SELECT pg_reload_conf()', limit, message)
  const end = performance.now() + RELOAD_LIMIT
  while ((await loaded('SELECT pg_conf_load_time()::text AS loaded')) === before) {
    if (performance.now() > end) {
      throw new Failure(ExitCode.tryLater, {
        message,
        cause: `PostgreSQL took no note of it within ${RELOAD_LIMIT / 1000} s`,
        hint: 'Look at its load (journalctl -u postgresql), and run it again.',
      })
    }
    await sleep(POLL)
  }
}
