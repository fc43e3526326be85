import { promisify } from 'node:util'
import { childProcess } from '../../child-process.ts'

/** Milliseconds that a program gets which only says something. */
const LIMIT = 1500
const MOST = 4_194_304

/** What a program wrote to standard output; undefined where it is missing, fails or takes too long. */
export async function ask(program: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(childProcess().execFile)(program, [...args], {
      timeout: LIMIT,
      killSignal: 'SIGKILL',
      maxBuffer: MOST,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    })
    return stdout
  } catch {
    return undefined
  }
}

/** The major versions of PostgreSQL's programs on the PATH. */
export type Tools = Readonly<Record<'psql' | 'pg_dump', number | undefined>>

const majorOf = (said: string | undefined): number | undefined => {
  const [, major] = /\(PostgreSQL\) (\d+)/.exec(said ?? '') ?? []
  return major === undefined ? undefined : Number(major)
}

export async function gatherTools(): Promise<Tools> {
  const [psql, dump] = await Promise.all([ask('psql', '--version'), ask('pg_dump', '--version')])
  return { psql: majorOf(psql), pg_dump: majorOf(dump) }
}

/** Whether systemd says that the clock follows a time server; undefined where it says nothing. */
export async function gatherClock(): Promise<boolean | undefined> {
  const said = await ask('timedatectl', 'show', '--property=NTPSynchronized')
  return said === undefined ? undefined : said.trim() === 'NTPSynchronized=yes'
}
