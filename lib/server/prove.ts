import { type LookupAddress, lookup } from 'node:dns'
import { statSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import type { Deadline } from '../frame/deadline.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Report } from '../frame/report.ts'
import type { Settings } from '../frame/settings.ts'
import type { Check } from '../frame/terms.ts'
import { explain } from './connection-problem.ts'
import { type Goal, type Problem, toFailure } from './connection-terms.ts'
import { Login, type LoginTarget } from './login.ts'
import { backoff } from './ready.ts'
import type { ScramPassword } from './scram.ts'
import { insteadOf } from './wrong-setting.ts'

/**
 * The addresses the application would try, in the resolver's order and each once.
 * Fails with 78 where the name has none.
 */
export async function resolveAddresses(host: string): Promise<string[]> {
  try {
    const found = await new Promise<LookupAddress[]>((resolve, reject) => {
      lookup(host, { all: true, verbatim: true }, (error, all) => (error ? reject(error) : resolve(all)))
    })
    return [...new Set(found.map(({ address }) => address))]
  } catch (error) {
    const goal: Goal = { place: host, role: '', database: '', as: 'application' }
    throw toFailure(explain(error, goal), `resolve ENDOREG_DB_HOST, ${host}`)
  }
}

/** What came of one login. */
export type Outcome =
  | { readonly address: string; readonly ok: true }
  | { readonly address: string; readonly ok: false; readonly problem: Problem }

/** The application's login at `address`. */
export const applicationTarget = (settings: Settings, address: string): LoginTarget => ({
  address,
  port: settings.dbPort,
  role: settings.dbUser,
  database: settings.dbName,
  sslMode: settings.dbSslMode,
  owner: ownerOf(settings),
})

/**
 * The uid of PostgreSQL's account, by the socket of the administrative connection; undefined where the application
 * connects to another port (a pooler) or PostgreSQL is not on this host, so that others may well answer.
 */
function ownerOf({ host, port, dbPort }: Settings): number | undefined {
  if (!host.startsWith('/') || port !== dbPort) return undefined
  try {
    return statSync(`${host}/.s.PGSQL.${port}`).uid
  } catch {
    // PostgreSQL is down, or this account may not look into the folder.
    return undefined
  }
}

export const applicationGoal = (
  { address, port, role, database }: LoginTarget,
  settings?: Settings,
): Goal => ({
  place: `${address} port ${port}`,
  role,
  database,
  as: 'application',
  settings,
})

/** Logs in as the application at `address`, and looks who and where one is then. */
export async function tryLogin(
  settings: Settings,
  address: string,
  password: ScramPassword | Promise<ScramPassword>,
  limit: number,
): Promise<Outcome> {
  const target = applicationTarget(settings, address)
  try {
    const login = await Login.open(target, password, limit)
    try {
      const wrong = mismatch(target, await login.query('SELECT current_user, current_database()', limit))
      return wrong ? { address, ok: false, problem: wrong } : { address, ok: true }
    } finally {
      login.close()
    }
  } catch (error) {
    return { address, ok: false, problem: explain(error, applicationGoal(target, settings)) }
  }
}

function mismatch(target: LoginTarget, [role, database]: readonly (string | null)[]): Problem | undefined {
  if (role === target.role && database === target.database) return undefined
  return {
    transient: false,
    stage: 'refused',
    code: ExitCode.configuration,
    cause: `the login ended as ${role} in ${database}, not as ${target.role} in ${target.database}`,
    hint: `Look for a pooler in between; where there is none, for ALTER ROLE ... SET role (\\drds in psql): ALTER ROLE "${target.role}" RESET role`,
  }
}

/** How the proving is done. */
type ProofOptions = {
  readonly settings: Settings
  readonly addresses: readonly string[]
  readonly deadline: Deadline
  readonly report: Report
  /** Whether PostgreSQL is known to be up, so that an address where nothing listens will stay so. */
  readonly up: boolean
}

/**
 * Proves the application's login at every address, all at once. While PostgreSQL starts it tries again,
 * within the deadline; what does not pass by itself ends it at once.
 *
 * @param proved logins that have succeeded already
 */
export async function proveLogins(
  options: ProofOptions,
  password: ScramPassword,
  proved: readonly Outcome[] = [],
): Promise<Outcome[]> {
  const { settings, addresses, deadline, report } = options
  const outcomes = new Map(proved.map(outcome => [outcome.address, outcome]))
  let pending = addresses.filter(address => !outcomes.has(address))
  let { up } = options
  try {
    for (let attempt = 0; ; attempt++) {
      // Past the deadline the last attempt still gets what a slow login takes.
      const limit = Math.min(Math.max(deadline.remaining(), 2000), 10_000)
      const what = `the login of ${settings.dbUser} at ${pending.join(' and ')}`
      const attempts = (): Promise<Outcome[]> =>
        Promise.all(pending.map(address => tryLogin(settings, address, password, limit)))
      for (const outcome of await report.remind(what, 'no answer yet', deadline, attempts)) {
        outcomes.set(outcome.address, outcome)
      }
      const failed = [...outcomes.values()].filter(outcome => !outcome.ok)
      const passing = failed.filter(({ problem }) => problem.transient && !(up && problem.stage === 'absent'))
      const [first] = passing
      if (!first || passing.length < failed.length || deadline.remaining() === 0) break
      up ||= [...outcomes.values()].some(outcome => outcome.ok)
      pending = passing.map(({ address }) => address)
      report.waiting(what, first.problem.cause, deadline)
      const delay = backoff(first.problem.stage, attempt, deadline.elapsed())
      await deadline.clock.sleep(Math.min(delay, deadline.remaining()))
    }
  } finally {
    report.waited()
  }
  return addresses.flatMap(address => outcomes.get(address) ?? [])
}

/**
 * The Failure for the logins that could not be proved, or undefined where all could.
 *
 * @param known whether PostgreSQL is known to be up
 */
export function proofFailure(
  settings: Settings,
  outcomes: readonly Outcome[],
  known: boolean,
): Failure | undefined {
  const failed = outcomes.filter(outcome => !outcome.ok)
  const up =
    known || failed.length < outcomes.length || failed.some(({ problem }) => problem.stage !== 'absent')
  const problems = failed.map(({ address, problem }) => ({
    address,
    problem: up && problem.stage === 'absent' ? notServed(settings, address) : problem,
  }))
  const main = problems.find(({ problem }) => !problem.transient) ?? problems[0]
  if (!main) return undefined
  const { transient, hint } = main.problem
  const alike = problems.filter(({ problem }) => problem.transient === transient && problem.hint === hint)
  return new Failure(main.problem.code, {
    message: `log in as ${settings.dbUser} at ${problems.map(({ address }) => address).join(' and ')} with the password from the vault`,
    cause: problems.map(({ address, problem }) => `${address}: ${problem.cause}`).join('; '),
    hint: main.problem.hint.replaceAll('ADDRESS', alike.map(({ address }) => rangeOf(address)).join(' and ')),
  })
}

/** The range that is this one address. */
export const rangeOf = (address: string): string => `${address}/${isIPv6(address) ? 128 : 32}`

function notServed(settings: Settings, address: string): Problem {
  const { dbPort, dbHost } = settings
  const common = { transient: false, stage: 'refused', code: ExitCode.configuration } as const
  const other = insteadOf({ as: 'application', settings })
  if (other) return { ...common, cause: `nothing listens at this address, port ${dbPort}`, hint: other.hint }
  const ipv6 = isIPv6(address) ? ` Where IPv6 is off, take ${address} out of /etc/hosts.` : ''
  return {
    ...common,
    cause: `PostgreSQL is up but does not listen at this address, port ${dbPort}, which ${dbHost} resolves to`,
    hint: `Let it listen there (listen_addresses; now: psql -c 'SHOW listen_addresses') and restart it, or set ENDOREG_DB_HOST to an address it serves.${ipv6}`,
  }
}

/** What the report says about a login. */
export function toCheck(settings: Settings, outcome: Outcome): Check {
  return { name: `login ${settings.dbUser} ${outcome.address}`, ok: outcome.ok }
}

/** Milliseconds an early login gets; what takes longer is tried again, and waited for with words. */
const LIMIT = 3000

/**
 * The application's logins, begun while everything else is still being looked at. A new session costs
 * PostgreSQL more than all the rest of a converged run; begun early, it is ready up to the password when
 * the password is known to be right. On a host with changes to make they are given up, which leaves
 * nothing in the log of PostgreSQL, and proved afresh after the changes.
 */
export class EarlyLogins {
  readonly addresses: Promise<string[]>
  readonly #outcomes: Promise<Outcome[]>
  #resolve: (password: ScramPassword) => void = () => {}
  #reject: (reason: Error) => void = () => {}

  constructor(settings: Settings) {
    const password = new Promise<ScramPassword>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    password.catch(() => {})
    this.addresses = resolveAddresses(settings.dbHost)
    this.#outcomes = this.addresses.then(addresses =>
      Promise.all(addresses.map(address => tryLogin(settings, address, password, LIMIT))),
    )
    this.#outcomes.catch(() => {})
  }

  /** Finishes them with `password`: those that succeeded. The others are for whoever can explain them. */
  async finish(password: ScramPassword): Promise<Outcome[]> {
    this.#resolve(password)
    const outcomes = await this.#outcomes.catch(() => [])
    return outcomes.filter(({ ok }) => ok)
  }

  /** Gives them up. */
  abandon(): void {
    this.#reject(new Error('given up'))
  }
}
