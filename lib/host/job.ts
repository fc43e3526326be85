import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { Password } from '../frame/password.ts'
import { type Armed, arm, delegate, noAnswer } from './as-account.ts'
import type { Helpers } from './helpers.ts'
import type { Account } from './identity.ts'
import { changesIds, effectiveUid, needsNoChange, withIds } from './identity.ts'

/**
 * A piece of synchronous work on files, named by its path and described by plain values, so that it can be
 * done in this process or in another one that has an account's ids from its start.
 */
type Job<A extends readonly unknown[], R> = {
  /** Does it with this process's rights. */
  readonly here: (...args: A) => R
  /**
   * Does it with the rights of `account` and no others: root takes on its ids for that long or, where this
   * Node.js changes none, has a child do it; any other account works as it is.
   */
  readonly as: (account: Account, ...args: A) => R
  /**
   * Does it with this process's rights and, where root is denied something, with those of `owner`: a unit
   * may take from root the capabilities that open other accounts' folders (CAP_DAC_OVERRIDE, CAP_FOWNER;
   * capabilities(7)), and then the owner's ids are what opens them. The work must be harmless to begin again.
   */
  readonly withRightsOf: (owner: Account, ...args: A) => R
  /** As `as`; where a child has to do it, it is one of `helpers`, and nothing waits for it but the caller. */
  readonly laterAs: (helpers: Helpers, account: Account, ...args: A) => Promise<R>
  /** Prepares `as`, so that it takes no time when it is wanted. */
  readonly armAs: (account: Account, ...args: A) => Promise<Armed<R>>
  /** Prepares `withRightsOf`, so that it takes no time when it is wanted. */
  readonly armWithRightsOf: (owner: Account, ...args: A) => Promise<Armed<R>>
}

type Schema = v.GenericSchema<unknown>
type Output<A extends readonly Schema[]> = { [K in keyof A]: v.InferOutput<A[K]> }
/** A job as another process asks for it: by its name, with arguments not looked at yet. */
type Asked = (args: unknown) => unknown

const jobs = new Map<string, Asked>()

/** The bytes of a file, for the arguments and results of jobs. */
export const bytes = v.custom<Uint8Array>(value => value instanceof Uint8Array)
/** A password, for the arguments and results of jobs. */
export const password = v.instance(Password)

/**
 * Declares a job.
 *
 * @param name what another process asks for it by
 * @param args what the arguments are, @param result what comes back: plain values, passwords and bytes
 * @param work synchronous; finds files by their paths, and fails with a Failure or a system error
 */
export function job<const A extends readonly Schema[], R extends Schema>(
  name: string,
  args: A,
  result: R,
  work: (...args: Output<A>) => v.InferOutput<R>,
): Job<Output<A>, v.InferOutput<R>> {
  const tuple = v.strictTuple(args)
  type Args = Output<A>
  jobs.set(name, given => work(...v.parse(tuple, given)))
  const checked = (account: Account, given: unknown): v.InferOutput<R> => {
    if (v.is(result, given)) return given
    throw noAnswer(account)
  }
  const as = (account: Account, ...given: Args): v.InferOutput<R> => {
    if (needsNoChange(account)) return work(...given)
    if (changesIds()) return withIds(account, () => work(...given))
    return checked(account, delegate(account, name, given))
  }
  const laterAs = async (helpers: Helpers, account: Account, ...given: Args): Promise<v.InferOutput<R>> => {
    if (needsNoChange(account) || changesIds()) return as(account, ...given)
    return checked(account, await helpers.ask(account, name, given))
  }
  const withRightsOf = (owner: Account, ...given: Args): v.InferOutput<R> => {
    try {
      return work(...given)
    } catch (error) {
      if (isHopeless(owner, error)) throw error
      return as(owner, ...given)
    }
  }
  const atOnce = (act: () => v.InferOutput<R>): Armed<v.InferOutput<R>> => ({
    fire: async () => act(),
    discard: () => {},
  })
  const armAs = async (account: Account, ...given: Args): Promise<Armed<v.InferOutput<R>>> => {
    if (needsNoChange(account) || changesIds()) return atOnce(() => as(account, ...given))
    const { fire, discard } = await arm(account, name, given)
    return { fire: async () => checked(account, await fire()), discard }
  }
  const armWithRightsOf = async (owner: Account, ...given: Args): Promise<Armed<v.InferOutput<R>>> => {
    const child = await armAs(owner, ...given)
    return {
      fire: async () => {
        try {
          const done = work(...given)
          child.discard()
          return done
        } catch (error) {
          if (isHopeless(owner, error)) throw error
          return child.fire()
        }
      },
      discard: child.discard,
    }
  }
  return { here: work, as, laterAs, withRightsOf, armAs, armWithRightsOf }
}

/** Does the job `name` that another process asked for. */
export function doJob(name: string, args: unknown): unknown {
  const work = jobs.get(name)
  if (!work) throw new Error(`there is no job ${name}`)
  return work(args)
}

/** CAP_DAC_OVERRIDE and CAP_FOWNER, by their numbers (linux/capability.h). */
const RIGHTS = (1n << 1n) | (1n << 3n)

/** Whether this process holds both; then the denial has another reason, and the owner would be denied as well. */
function holdsRights(): boolean {
  const [, held = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return effectiveUid() === 0 && (BigInt(`0x${held}`) & RIGHTS) === RIGHTS
}

/** Whether the owner's ids would not help against `error`. */
const isHopeless = (owner: Account, error: unknown): boolean =>
  needsNoChange(owner) || !isDenied(error) || holdsRights()

/** Whether the system or a look at it has denied something for want of a right. */
export const isDenied = (error: unknown): boolean =>
  errnoOf(error) === 'EACCES' ||
  errnoOf(error) === 'EPERM' ||
  (error instanceof Failure && error.code === ExitCode.notPermitted)
