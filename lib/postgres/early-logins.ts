import type { Settings } from '../settings.ts'
import { type Outcome, resolveAddresses, tryLogin } from './proof.ts'
import type { ScramPassword } from './scram.ts'

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
