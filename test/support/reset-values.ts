import { userInfo } from 'node:os'
import type { UnitState } from '../../lib/host/units.ts'
import type { Cluster, Recipe } from '../../lib/reset/cluster.ts'
import { type FolderState, parseBeside } from '../../lib/reset/folders.ts'
import type { Dependants, ResetJournal, UndoJournal } from '../../lib/reset/journal.ts'
import type { Server } from '../../lib/reset/server.ts'
import type { Site } from '../../lib/reset/site.ts'

// A cluster with its folders and what was begun there, as values.

export const RECIPE: Recipe = {
  encoding: 'UTF8',
  collate: 'de_DE.UTF-8',
  ctype: 'C.UTF-8',
  provider: 'c',
  locale: null,
  icuRules: null,
  checksums: true,
  walSegmentSize: 16_777_216,
  groupAccess: false,
  superuser: 'postgres',
}

export const CLUSTER: Cluster = {
  maker: 'debian',
  name: '16/main',
  major: 16,
  port: 5432,
  data: '/var/lib/postgresql/16/main',
  unit: 'postgresql@16-main.service',
  recipe: RECIPE,
}

export const NOTHING_AROUND: Dependants = { companions: [], dependants: [], jobs: [] }

export const OLD = 'main.before-reset-2026-01-01T00-00-00Z'
export const LATER = 'main.before-reset-2026-02-01T00-00-00Z'
export const AWAY = 'main.before-undo-2026-03-01T00-00-00Z'
export const FRESH = 'main.new-2026-04-01T00-00-00Z'
export const PURGED = 'main.purged-2026-05-01T00-00-00Z'

const begun = {
  format: 1,
  begun: '2026-01-01T00:00:00.000Z',
  cluster: CLUSTER,
  around: NOTHING_AROUND,
} as const

export const RESET: ResetJournal = { ...begun, action: 'reset', aside: OLD, prepared: true, backup: 'kept' }
export const UNDO: UndoJournal = { ...begun, action: 'undo', aside: OLD, away: AWAY }

/** The folders called `names` beside the data folder, of the major version `major`. */
export const folders = (names: readonly string[], major: number | null = 16): FolderState['beside'] =>
  names.flatMap(name => {
    const parsed = parseBeside('main', name)
    return parsed ? [{ ...parsed, major }] : []
  })

/** This account stands for PostgreSQL's. */
const me = { name: userInfo().username, uid: userInfo().uid, gid: userInfo().gid }

export const FOLDER: FolderState = {
  state: 'folder',
  uid: me.uid,
  device: 1,
  inode: 2,
  pid: null,
  wal: null,
  tablespaces: [],
  movable: true,
  beside: [],
}

export const SERVER: Server = {
  version: '16.4',
  major: 16,
  inRecovery: false,
  ruleErrors: [],
  data: CLUSTER.data,
  configuration: '/etc/postgresql/16/main/postgresql.conf',
  hbaFile: '/etc/postgresql/16/main/pg_hba.conf',
  identFile: '/etc/postgresql/16/main/pg_ident.conf',
  port: 5432,
  commandLine: [],
  pid: 4711,
  checksums: true,
  walSegmentSize: 16_777_216,
  groupAccess: false,
  superuser: 'postgres',
  minWal: 83_886_080,
  templateSize: 7_500_000,
  template: {
    encoding: 'UTF8',
    collate: 'de_DE.UTF-8',
    ctype: 'C.UTF-8',
    provider: 'c',
    locale: null,
    icuRules: null,
  },
  databases: [],
  sessions: [],
}

/** A site whose server is up and whose data is in its place, but for what is said. */
export const site = (
  other: Partial<Omit<Site, 'folder'>> & { readonly folder?: Partial<FolderState> } = {},
): Site => ({
  cluster: CLUSTER,
  parent: '/var/lib/postgresql/16',
  name: 'main',
  postgres: me,
  server: SERVER,
  silence: undefined,
  journal: undefined,
  ...other,
  folder: { ...FOLDER, ...other.folder },
})

export const unit = (name: string, active = 'active', other: Partial<UnitState> = {}): UnitState => ({
  name,
  active,
  load: 'loaded',
  mainPid: 0,
  job: false,
  dependants: [],
  ...other,
})
