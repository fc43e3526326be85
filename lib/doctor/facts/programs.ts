import { ask } from '../../programs.ts'

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
