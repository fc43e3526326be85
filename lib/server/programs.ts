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
  const folders = [`${VERSIONS}/${major}/bin`, ...pathFolders()]
  const silent: string[] = []
  for (const folder of folders) {
    const path = join(folder, name)
    if (!isExecutable(path)) continue
    const said = await ask(path, '--version')
    if (said.out === undefined) silent.push(`; ${said.why}`)
    const [, found] = /\(PostgreSQL\) (\d+)/.exec(said.out ?? '') ?? []
    if (Number(found) === major) return path
  }
  throw new Failure(ExitCode.unavailable, {
    message: `find ${name} of PostgreSQL ${major}`,
    cause: `it is neither in ${folders[0]} nor on the PATH${silent.join('')}`,
    hint: `Install it (Debian: apt install postgresql-${needsServer(name) ? '' : 'client-'}${major}; NixOS: the package of services.postgresql).`,
  })
}

/** Whether any server is installed where programs are looked for. */
export const isServerInstalled = (): boolean =>
  (existsSync(VERSIONS) ? readdirSync(VERSIONS) : [])
    .map(major => `${VERSIONS}/${major}/bin`)
    .concat(pathFolders())
    .some(folder => isExecutable(join(folder, 'postgres')))

const pathFolders = (): string[] =>
  (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder.startsWith('/'))

/**
 * The major version whose server can take in what one of `major` held: the same, or where that is not installed any
 * more the next one that is. Fails with 69 where there is none.
 */
export async function serverMajor(major: number): Promise<number> {
  const onPath = /\(PostgreSQL\) (\d+)/.exec((await ask('initdb', '--version')).out ?? '')?.[1]
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

/** The locale of a database (pg_database), and how it is written where that is known. */
type Locale = {
  readonly encoding?: string | undefined
  readonly collate: string
  readonly ctype: string
  /** pg_database.datlocprovider: "c" libc, "i" ICU, "b" PostgreSQL's own. */
  readonly provider: string
  /** The locale of ICU or of PostgreSQL's own provider, and ICU's rules. */
  readonly locale: string | null
  readonly icuRules: string | null
}

/** Providers other than libc, which has to be named no more than its locales, as initdb(1) calls them. */
const PROVIDERS: Readonly<Record<string, string>> = { i: 'icu', b: 'builtin' }

/** The options of initdb(1) with which the first databases have this locale. */
export function localeOptions({ encoding, collate, ctype, provider, locale, icuRules }: Locale): string[] {
  const kind = PROVIDERS[provider]
  return [
    ...(encoding === undefined ? [] : [`--encoding=${encoding}`]),
    `--lc-collate=${collate}`,
    `--lc-ctype=${ctype}`,
    ...(kind === undefined ? [] : [`--locale-provider=${kind}`]),
    ...(kind === undefined || locale === null ? [] : [`--${kind}-locale=${locale}`]),
    ...(icuRules === null ? [] : [`--icu-rules=${icuRules}`]),
  ]
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
