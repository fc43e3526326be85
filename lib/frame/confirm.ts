import { hostname } from 'node:os'
import { createInterface } from 'node:readline'
import { isatty } from 'node:tty'
import { ExitCode, Failure } from './failure.ts'
import { visibleJson } from './output.ts'
import type { Run } from './run.ts'

const HELP = ['HOSTNAME', "ask nothing: the host's name is given here"] as const

/** The options of commands that ask with `confirmHost`. */
export const YES_DELETE = { 'yes-delete': HELP } as const
export const YES_OVERWRITE = { 'yes-overwrite': HELP } as const
export const YES_INCOMPLETE = {
  'yes-incomplete': ['HOSTNAME', 'restore without the objects that PostgreSQL refuses, and name them'],
} as const
type Consent = keyof typeof YES_DELETE | keyof typeof YES_OVERWRITE | keyof typeof YES_INCOMPLETE

/** Whether there is a terminal to ask at. */
export const canAsk = (): boolean => isatty(0) && isatty(2)

/**
 * Has the host's name typed at the terminal, so that nobody does to this host what was meant for another one; with
 * `--yes-delete HOSTNAME`, or whatever `consent` is, that is the name.
 *
 * Fails with 64 where it is another name, or there is no terminal to ask at.
 */
export async function confirmHost(run: Run, message: string, consent: Consent = 'yes-delete'): Promise<void> {
  const given = run.values.get(consent)
  const name = hostname()
  if (given === undefined && !canAsk()) {
    throw new Failure(ExitCode.usage, {
      message,
      cause: "there is no terminal to type the host's name at",
      hint: `Nothing was touched. If it is meant, say so with --${consent} ${name}`,
    })
  }
  judge(
    message,
    name,
    given ?? (await typed(`${run.report.command}: type this host's name to go on (${name}): `)),
  )
}

/** Fails with 64 where `answer` is not the host's `name`, letter by letter. */
export function judge(message: string, name: string, answer: string | undefined): void {
  if (answer === name) return
  throw new Failure(ExitCode.usage, {
    message,
    cause:
      answer === undefined
        ? "the host's name was not typed"
        : `this host is ${JSON.stringify(name)}, not ${visibleJson(JSON.stringify(answer))}`,
    hint: 'Nothing was touched. See which host you are at, and run it again where it is meant.',
  })
}

/** A line from the terminal; undefined at its end. Not in raw mode, so that Ctrl-C stays a signal. */
export function typed(prompt: string): Promise<string | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  return new Promise(resolve => {
    terminal.once('close', () => resolve(undefined))
    terminal.question(prompt, answer => {
      resolve(answer.trim())
      terminal.close()
    })
  })
}
