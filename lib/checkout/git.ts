import type { Settings } from '../settings.ts'
import type { Ended, Programs } from './programs.ts'

/** Milliseconds that the network gets; a clinic that is offline must not wait for longer at every boot. */
const NETWORK_LIMIT = 60_000
const LOCAL_LIMIT = 60_000

/** git in one checkout. */
export class Git {
  readonly #programs: Programs

  constructor(programs: Programs) {
    this.#programs = programs
  }

  run(...args: string[]): Promise<Ended> {
    return this.#programs(LOCAL_LIMIT, 'git', ...args)
  }

  /** Runs what may have to wait for another host. */
  remote(...args: string[]): Promise<Ended> {
    return this.#programs(NETWORK_LIMIT, 'git', ...args)
  }

  /** The commit that `name` means; empty where there is none. */
  async commit(name: string): Promise<string> {
    return (await this.run('rev-parse', '--verify', `${name}^{commit}`)).out
  }

  /** Whether `newer` has `older` in its history; false as well where `older` is not known here. */
  async isAncestor(older: string, newer: string): Promise<boolean> {
    return (await this.run('merge-base', '--is-ancestor', older, newer)).code === 0
  }
}

/** A commit as people write it. */
export const short = (commit: string): string => commit.slice(0, 10)

/**
 * git in the checkout, or in the folder `path` of it, as an operator types it: as the service account, since
 * git refuses root a checkout of another account ("dubious ownership").
 */
export const gitThere = ({ serviceUser, apiDir }: Settings, path = ''): string =>
  `sudo -u ${serviceUser} git -C ${apiDir}${path && `/${path}`}`
