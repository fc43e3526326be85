import { Deadline } from '../frame/deadline.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { homeOf } from '../host/accounts.ts'
import type { Account } from '../host/identity.ts'
import { needsNoChange } from '../host/identity.ts'
import { complaint, finish } from '../host/shell.ts'

/** What a program left behind. */
export type Ended = {
  readonly code: number | null
  readonly out: string
  /** The last line it wrote for people that says what is wrong. */
  readonly said: string
}

/** Runs a program with its arguments, for `limit` milliseconds at the most; never fails. */
export type Programs = (
  limit: number,
  ...command: readonly [program: string, ...args: string[]]
) => Promise<Ended>

/** Never asks: nobody is there to answer. */
const UNATTENDED = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  SSH_ASKPASS: '/bin/false',
  LC_ALL: 'C',
} as const
/** Milliseconds in which git takes away its locks. */
const GRACE = 5000
const SSH = 'ssh -oBatchMode=yes -oConnectTimeout=10'
/** Variables by which a caller's own repository would be meant. */
const FOREIGN = /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE)$/
/** The way out of the clinic, which is all that another account gets of root's environment. */
const WAY_OUT = /^(?:(?:https?|all|no)_proxy|(?:NIX_)?SSL_CERT_FILE|GIT_SSL_CAINFO)$/i

/**
 * What of this process's environment goes on to programs of `account`, which the checkout may choose (hooks, filters,
 * helpers of git's): of the account's own all that does not name a repository; of root's the way out, without a password.
 */
const inherited = (account: Account): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value = '']) => {
      const passes = needsNoChange(account) ? !FOREIGN.test(name) : WAY_OUT.test(name) && !value.includes('@')
      return passes ? [[name, value]] : []
    }),
  )

/**
 * How programs run as `account` in `folder`, with its home and, as root, with its ids and groups. Not even the folder is
 * entered with root's.
 */
export function programsOf(
  run: Pick<Run, 'report' | 'deadline'>,
  account: Account,
  folder: string,
): Programs {
  const env = { GIT_SSH_COMMAND: SSH, ...inherited(account), ...UNATTENDED, HOME: homeOf(account) }
  return async (limit, ...command) => {
    const { report, deadline } = run
    const chosen = ['env', `--chdir=${folder}`, `PWD=${folder}`, ...command] as const
    const { code, out, err, broken } = await report.remind(
      command.slice(0, 2).join(' '),
      `it is at work in ${folder}`,
      new Deadline(limit / 1000, deadline.clock),
      () =>
        finish(chosen, { account, env, tie: 'TERM', limit, grace: GRACE }).catch(error => ({
          code: null,
          out: '',
          err: '',
          broken: String(error),
        })),
    )
    report.waited()
    const said = broken ?? (complaint(err, /^(?:fatal|error):/) || 'it said nothing')
    // What stands before an @ in an address may be a token.
    return { code, out: out.trim(), said: said.replace(/\/\/[^/@\s]*@/g, '//') }
  }
}

/** Milliseconds that the network gets; a clinic that is offline must not wait for longer at every boot. */
const NETWORK_LIMIT = 60_000
const LOCAL_LIMIT = 60_000
/** Milliseconds that fetching a whole repository with its submodules gets. */
export const CLONE_LIMIT = 15 * 60_000

/** git in one checkout. */
export class Git {
  readonly #programs: Programs
  readonly #place: readonly string[]

  constructor(programs: Programs, place: readonly string[] = []) {
    this.#programs = programs
    this.#place = place
  }

  /** git in the folder `path` of this one. */
  at(path: string): Git {
    return new Git(this.#programs, [...this.#place, '-C', path])
  }

  run(...args: string[]): Promise<Ended> {
    return this.#git(LOCAL_LIMIT, args)
  }

  /** Runs what may have to wait for another host. */
  remote(...args: string[]): Promise<Ended> {
    return this.#git(NETWORK_LIMIT, args)
  }

  /** Runs what fetches a whole repository. */
  whole(...args: string[]): Promise<Ended> {
    return this.#git(CLONE_LIMIT, args)
  }

  /** The folder of git's own files. */
  async directory(): Promise<string> {
    return (await this.run('rev-parse', '--absolute-git-dir')).out
  }

  /** Removes files and folders by their absolute paths. */
  remove(...paths: string[]): Promise<Ended> {
    return this.#programs(LOCAL_LIMIT, 'rm', '-rf', '--', ...paths)
  }

  #git(limit: number, args: readonly string[]): Promise<Ended> {
    return this.#programs(limit, 'git', ...this.#place, ...args)
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

/** What libcurl says of a server whose certificate it does not take, with OpenSSL and with GnuTLS. */
const UNTRUSTED = /\bcertificate\b/i

/** What to do about a repository that git could not reach; empty where that is nothing special. */
export function advice({ serviceUser }: Settings, { said }: Ended): string {
  if (!UNTRUSTED.test(said)) return ''
  return (
    `Let git trust the authority of that certificate: have ca-certificates installed, put one of the clinic's own into ` +
    `/usr/local/share/ca-certificates/NAME.crt and run update-ca-certificates (on NixOS: security.pki.certificateFiles), ` +
    `or name it for this account: sudo -Hu ${serviceUser} git config --global http.sslCAInfo FILE. Look at the host's clock as well (date).`
  )
}

/** A commit as people write it. */
export const short = (commit: string): string => commit.slice(0, 10)

/**
 * git in the checkout, or in the folder `path` of it, as an operator types it: as the service account, since
 * git refuses root a checkout of another account ("dubious ownership").
 */
export const gitThere = ({ serviceUser, apiDir }: Settings, path = ''): string =>
  `sudo -u ${serviceUser} git -C ${apiDir}${path && `/${path}`}`
