import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ExitCode, Failure } from '../errors.ts'
import { ask } from '../programs.ts'

/** PostgreSQL's programs that are used here. */
export type ProgramName =
  | 'initdb'
  | 'pg_controldata'
  | 'pg_dump'
  | 'pg_dumpall'
  | 'pg_restore'
  | 'postgres'
  | 'psql'

/**
 * The path of a program of PostgreSQL's major version `major`: Debian's own folder of that version first, since
 * what Debian has on the PATH is a script that chooses one, then the PATH. Fails with 69 where there is none.
 */
export async function findProgram(name: ProgramName, major: number): Promise<string> {
  const folders = [
    `/usr/lib/postgresql/${major}/bin`,
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

const needsServer = (name: ProgramName): boolean => ['initdb', 'pg_controldata', 'postgres'].includes(name)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
