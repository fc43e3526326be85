import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ExitCode, Failure } from '../frame/failure.ts'
import { ask } from '../host/shell.ts'

/** PostgreSQL's programs that are used here. */
export type ProgramName =
  | 'initdb'
  | 'pg_controldata'
  | 'pg_ctl'
  | 'pg_dump'
  | 'pg_dumpall'
  | 'pg_restore'
  | 'postgres'
  | 'psql'

/** Debian's folders, one for each major version. */
const VERSIONS = '/usr/lib/postgresql'

/**
 * The path of a program of PostgreSQL's major version `major`: Debian's own folder of that version first, since
 * what Debian has on the PATH is a script that chooses one, then the PATH. Fails with 69 where there is none.
 */
export async function findProgram(name: ProgramName, major: number): Promise<string> {
  const folders = [
    `${VERSIONS}/${major}/bin`,
    ...(process.env['PATH'] ?? '').split(delimiter).filter(folder => folder.startsWith('/')),
  ]
  for (const folder of folders) {
    const path = join(folder, name)
    if (!isExecutable(path)) continue
    const [, found] = /\(PostgreSQL\) (\d+)/.exec((await ask(path, '--version')) ?? '') ?? []
    if (Number(found) === major) return path
  }
  throw new Failure(ExitCode.unavailable, {
    message: `find ${name} of PostgreSQL ${major}`,
    cause: `it is neither in ${folders[0]} nor on the PATH`,
    hint: `Install it (Debian: apt install postgresql-${needsServer(name) ? '' : 'client-'}${major}; NixOS: the package of services.postgresql).`,
  })
}

/**
 * The major version whose server can take in what one of `major` held: the same, or where that is not installed any
 * more the next one that is. Fails with 69 where there is none.
 */
export async function serverMajor(major: number): Promise<number> {
  const onPath = /\(PostgreSQL\) (\d+)/.exec((await ask('initdb', '--version')) ?? '')?.[1]
  const installed = [...(existsSync(VERSIONS) ? readdirSync(VERSIONS) : []), onPath].map(Number)
  for (const candidate of installed.filter(number => number >= major).sort((a, b) => a - b)) {
    if (await findProgram('initdb', candidate).catch(() => undefined)) return candidate
  }
  throw new Failure(ExitCode.unavailable, {
    message: `find a PostgreSQL that restores what ${major} held`,
    cause: `neither ${major} nor a newer one is in ${VERSIONS} or on the PATH`,
    hint: `Install it (Debian: apt install postgresql-${major}; NixOS: the package of services.postgresql), or make a new backup of the server that there is now: backup-postgres`,
  })
}

const needsServer = (name: ProgramName): boolean =>
  ['initdb', 'pg_controldata', 'pg_ctl', 'postgres'].includes(name)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
