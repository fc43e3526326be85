import pg from 'pg'
import { ExitCode, errnoOf, Failure, type FailureCode } from '../frame/failure.ts'
import { type Rows, run } from './session.ts'

/** What a statement's SQLSTATE means for the run (PostgreSQL manual, appendix A). */
const MEANING: Readonly<Record<string, { code: FailureCode; hint: string }>> = {
  '42501': {
    code: ExitCode.notPermitted,
    hint: 'Set PGUSER to a superuser, or give its role the right.',
  },
  '22021': {
    code: ExitCode.configuration,
    hint: 'A name there has bytes that mean nothing in UTF-8: look which (\\l, \\du, \\d in psql), and rename it.',
  },
  '22P05': {
    code: ExitCode.configuration,
    hint: 'A name there has letters that UTF-8 has not: look which (\\l, \\du, \\d in psql), and rename it.',
  },
  '25006': {
    code: ExitCode.configuration,
    hint: 'The server accepts no writes; if it is a standby, run this on the primary.',
  },
  '53100': {
    code: ExitCode.inputOutput,
    hint: 'Free some space on the disk of PostgreSQL and run it again.',
  },
  '58030': { code: ExitCode.inputOutput, hint: 'Look at the kernel log (dmesg) and the health of the disk.' },
  XX001: {
    code: ExitCode.inputOutput,
    hint: 'The data itself is damaged: keep the backups there are, and look at the disk (dmesg).',
  },
  XX002: {
    code: ExitCode.inputOutput,
    hint: 'An index is damaged: REINDEX it, and look at the disk (dmesg).',
  },
  '55P03': {
    code: ExitCode.tryLater,
    hint: 'Another session holds a lock on it (SELECT * FROM pg_locks); run it again later.',
  },
  '57014': { code: ExitCode.tryLater, hint: 'Somebody cancelled the statement; run it again.' },
  '57P01': { code: ExitCode.tryLater, hint: 'PostgreSQL was stopped meanwhile; run it again.' },
  '57P02': { code: ExitCode.tryLater, hint: 'PostgreSQL was stopped meanwhile; run it again.' },
}

/** What two sessions get that change one row of a catalog at once: an internal error, whose text is never translated. */
const CONCURRENT = /^tuple concurrently (?:updated|deleted)$/
const LATER = {
  code: ExitCode.tryLater,
  hint: 'Another session changed the same thing at that moment; run it again.',
} as const

/**
 * The Failure for a statement that failed while doing `message`. What is neither an answer of PostgreSQL nor
 * a lost connection is returned as it is.
 */
export function statementFailure(error: unknown, message: string): unknown {
  if (error instanceof pg.DatabaseError) {
    const code = error.code ?? ''
    const meaning = CONCURRENT.test(error.message) ? LATER : MEANING[code]
    return new Failure(meaning?.code ?? ExitCode.cannotCreate, {
      message,
      cause: `PostgreSQL answered ${code}: ${error.message}`,
      hint: meaning?.hint ?? 'The log of PostgreSQL says more: journalctl -u postgresql',
    })
  }
  if (error instanceof Failure) return error
  if (errnoOf(error) === undefined && !isDriverError(error)) return error
  return new Failure(ExitCode.tryLater, {
    message,
    cause: 'PostgreSQL closed the connection meanwhile',
    hint: 'Nothing is half done. See journalctl -u postgresql, and run it again.',
  })
}

/** As `run`, with the Failure for what goes wrong. */
export async function ask(client: pg.Client, text: string, limit: number, doing: string): Promise<Rows[]> {
  try {
    return await run(client, text, limit, doing)
  } catch (error) {
    throw statementFailure(error, doing)
  }
}

const isDriverError = (error: unknown): boolean =>
  error instanceof Error &&
  /^(?:Connection terminated|Client (?:has encountered|was closed))/.test(error.message)
