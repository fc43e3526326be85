import { spawn } from 'node:child_process'
import { findAccount } from '../../lib/host/accounts.ts'
import { outputOf } from './output.ts'

/** Whether the tests run as root, with other accounts and their files. */
export const isRoot = process.getuid?.() === 0

/** What a command left behind. */
export type Result = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
  /** The document of --json. */
  readonly json: Document
}

export type Document = {
  readonly changed: boolean
  readonly check: boolean
  readonly changes: readonly { resource: string; action: string }[]
  readonly checks: readonly { name: string; ok: boolean }[]
  readonly error?: { code: number; message: string; cause: string; hint: string }
}

/** A shell script as the service account, or as the one that runs the tests where that is no root. */
export const asService = (script: string): [program: string, args: string[]] =>
  isRoot
    ? [
        'setpriv',
        [
          '--reuid',
          'endoreg-service-user',
          '--regid',
          'endoreg-service',
          '--init-groups',
          'sh',
          '-c',
          script,
        ],
      ]
    : ['sh', ['-c', script]]

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>
  /** The account to run as, with its groups. */
  readonly as?: string
  /** Without the groups that the account has beside its primary one. */
  readonly withoutGroups?: boolean
  /** A command line that ends in running the rest of it, such as one with mounts of its own. */
  readonly within?: readonly string[]
  readonly onError?: (text: string) => void
  /** Milliseconds after which it and everything it started is killed. */
  readonly limit?: number
  /** What kills both before that; with a limit only. */
  readonly signal?: AbortSignal
}

/** Runs a program to its end. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Result> {
  const { as, env } = options
  const command = [
    ...(options.within ?? []),
    ...(as
      ? [
          'setpriv',
          '--reuid',
          as,
          '--regid',
          primaryGroup(as),
          options.withoutGroups ? '--clear-groups' : '--init-groups',
          file,
        ]
      : [file]),
  ]
  const child = spawn(command[0] ?? '', [...command.slice(1), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.limit !== undefined,
  })
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  const timer = options.limit === undefined ? undefined : setTimeout(end, options.limit)
  options.signal?.addEventListener('abort', end)
  const { code, signal, out, err } = await outputOf(child, options.onError)
  clearTimeout(timer)
  options.signal?.removeEventListener('abort', end)
  return {
    code,
    signal,
    out,
    err,
    get json(): Document {
      return JSON.parse(out)
    },
  }
}

const primaryGroup = (name: string): string => String(findAccount(name)?.gid ?? '')
