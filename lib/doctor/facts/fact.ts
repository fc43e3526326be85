import { ExitCode, Failure, systemFailure } from '../../frame/failure.ts'
import { effectiveUid } from '../../host/identity.ts'
import type { Said } from '../../host/shell.ts'
import type { Problem } from '../../server/connection-terms.ts'

/** What could not be looked at, and why. */
export type Unknown = {
  readonly known: false
  readonly why: string
  readonly hint: string
  /** Whether this account only lacks the right to look. */
  readonly denied: boolean
  /** The problem of a session that could not look. */
  readonly kind?: Problem['kind']
}

/** What was looked at. A diagnosis goes on without what it could not see. */
export type Fact<T> = { readonly known: true; readonly value: T } | Unknown

export const known = <T>(value: T): Fact<T> => ({ known: true, value })

export const unknown = (why: string, hint = '', denied = false): Unknown => ({
  known: false,
  why,
  hint,
  denied,
})

/** Milliseconds that an answer gets: what takes longer on a busy host is none that fails. */
export const LIMIT = 30_000

/** What a program said, as `read` understands it; why it said nothing otherwise. */
export function toSaid<T>(said: Said, read: (out: string) => T): Fact<T> {
  return said.out === undefined ? unknown(said.why) : known(read(said.out))
}

/** What is known, or undefined. */
export const ifKnown = <T>(fact: Fact<T>): T | undefined => (fact.known ? fact.value : undefined)

/** Something that could not be looked at. */
export type Unheard = { readonly what: string; readonly why: string }

/** Takes what is known and remembers what is not, where a diagnosis goes on without it. */
export class Hearing {
  readonly unheard: Unheard[] = []

  /** What is known. That only root may look is said elsewhere. */
  take<T>(what: string, fact: Fact<T>): T | undefined {
    if (!fact.known && (!fact.denied || effectiveUid() === 0)) this.unheard.push({ what, why: fact.why })
    return ifKnown(fact)
  }
}

/** What `error` says about something that could not be looked at; what is not understood is thrown again. */
export function toUnknown(error: unknown): Unknown {
  const failure = systemFailure(error, 'look')
  if (!(failure instanceof Failure)) throw error
  return unknown(failure.reason, failure.hint, failure.code === ExitCode.notPermitted)
}

/** What `work` looks at. */
export function toFact<T>(work: () => T): Fact<T> {
  try {
    return known(work())
  } catch (error) {
    return toUnknown(error)
  }
}

/** What `work` looks at, once it has. */
export async function toFactLater<T>(work: () => Promise<T>): Promise<Fact<T>> {
  try {
    return known(await work())
  } catch (error) {
    return toUnknown(error)
  }
}
