import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { outputOf } from '../output.ts'

/** What a program left behind. */
export type Outcome = { readonly code: number | null; readonly out: string; readonly err: string }

export type ProgramOptions = {
  /** What the program reads from standard input: by default nothing. */
  readonly input?: string | Buffer
  /** Whether an exit code other than 0 is an error; by default it is. */
  readonly check?: boolean
}

/** Runs a program to its end, and to the end of what its children write. */
export async function runProgram(argv: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  const { input = '', check = true } = options
  const [file = '', ...args] = argv
  const child = spawn(file, args, { stdio: 'pipe' })
  // A program need not read its input.
  child.stdin.on('error', () => {}).end(input)
  const { code, out, err } = await outputOf(child)
  if (check && code !== 0) throw new Error(`exit code ${code} of: ${argv.join(' ')}\n${out}${err}`)
  return { code, out, err }
}

/** The path of a file beside this one. */
export const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
