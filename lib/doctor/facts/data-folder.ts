import type { Account } from '../../files/accounts.ts'
import type { Settings } from '../../settings.ts'
import { filesOf } from './as-postgres.ts'

/** Where a server that is down keeps its data and configuration. */
export type DataFolder = {
  readonly path: string
  /** The major version that made it (PG_VERSION). */
  readonly major: number
  readonly hbaFile: string
  readonly identFile: string
}

const NEWEST = 30
const OLDEST = 10
const MAJORS = Array.from({ length: NEWEST - OLDEST + 1 }, (_, index) => NEWEST - index)

/** The usual places: as NixOS and as Debian have them, the newest first. */
const PLACES: readonly (readonly [data: string, configuration: string])[] = MAJORS.flatMap(major => [
  [`/var/lib/postgresql/${major}/main`, `/etc/postgresql/${major}/main`] as const,
  [`/var/lib/postgresql/${major}`, `/var/lib/postgresql/${major}`] as const,
])

/** Looks for the data folder without a server to ask; undefined where none of the places has one. */
export function findDataFolder({ dataDir, port }: Settings, postgres: Account): DataFolder | undefined {
  const places = dataDir === undefined ? PLACES : [[dataDir, dataDir] as const]
  const files = filesOf(
    postgres,
    places.map(([data]) => `${data}/PG_VERSION`),
  )
  for (const [path, configuration] of places) {
    const major = Number(readOr(files.read, `${path}/PG_VERSION`))
    if (!(major >= OLDEST)) continue
    // A host may have several clusters.
    if (dataDir === undefined && portIn(readOr(files.read, `${configuration}/postgresql.conf`)) !== port)
      continue
    return {
      path,
      major,
      hbaFile: `${configuration}/pg_hba.conf`,
      identFile: `${configuration}/pg_ident.conf`,
    }
  }
  return undefined
}

const DEFAULT_PORT = 5432

const portIn = (text: string): number =>
  Number([...text.matchAll(/^\s*port\s*=\s*'?(\d+)/gm)].at(-1)?.[1] ?? DEFAULT_PORT)

function readOr(read: (path: string) => string, path: string): string {
  try {
    return read(path)
  } catch {
    return ''
  }
}
