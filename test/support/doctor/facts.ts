import { posix } from 'node:path'
import type { Backup, Description } from '../../../lib/backup/terms.ts'
import type { Accounts, Traversals } from '../../../lib/doctor/facts/accounts.ts'
import { known, type Unknown, unknown } from '../../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../../lib/doctor/facts/gather.ts'
import type { Attempt } from '../../../lib/doctor/facts/passwords.ts'
import type { Rules, Server, ServerState } from '../../../lib/doctor/facts/server.ts'
import { CHAIN, type Unit, type UnitName } from '../../../lib/doctor/facts/units.ts'
import { SILENCE } from '../../../lib/doctor/facts/words.ts'
import { Password } from '../../../lib/frame/password.ts'
import type { Settings } from '../../../lib/frame/settings.ts'
import type { State } from '../../../lib/host/ownership.ts'
import { loadSettings } from '../../../lib/host/settings-file.ts'
import { localSettings } from '../../../lib/provision/local-settings.ts'
import { loadManifest } from '../../../lib/provision/manifest.ts'
import type { Vault } from '../../../lib/provision/vault.ts'
import type { LoginAttempt } from '../../../lib/server/access/decide.ts'
import { type Field, readLines } from '../../../lib/server/access/fields.ts'
import { type Clients, isAmong, type Rule } from '../../../lib/server/access/rules.ts'
import type { Problem } from '../../../lib/server/connection-terms.ts'
import type { Cluster, CurrentRole } from '../../../lib/server/look.ts'
import type { DatabaseContents, Needs } from '../../../lib/server/needs.ts'

/** The moment at which the hosts of these facts are looked at. */
export const NOW = new Date('2026-11-26T12:00:00Z')
export const SECONDS = NOW.getTime() / 1000

export const settings: Settings = loadSettings({}, '/dev/null')
const manifest = loadManifest(settings)
export const ROLE = settings.dbUser
export const VAULT = settings.vaultFile
export const VAULT_FOLDER = posix.dirname(VAULT)
export const CHECKOUT = settings.apiDir

export const UID = { postgres: 26, admin: 1000, service: 400 } as const
export const GID = { postgres: 26, admin: 1000, service: 101, vault: 990 } as const
export const stat = (uid: number, gid: number, mode: number): State => ({ uid, gid, mode, nlink: 1, ino: 1 })

/** What could not be looked at for want of a right, and for another reason. */
export const DENIED: Unknown = unknown('permission denied', 'Run it as root.', true)
export const BROKEN: Unknown = unknown('the device reports an input/output error', 'Look at the disk.')

export const vault = (file: Vault['file'], folder: State = stat(UID.admin, GID.vault, 0o40750)) =>
  known<Vault>({ path: VAULT, folder: { path: VAULT_FOLDER, stat: folder }, file, litter: [] })
export const password = new Password('of a test')
export const vaultFile = (
  uid: number = UID.admin,
  gid: number = GID.vault,
  mode = 0o100640,
): Vault['file'] => ({ state: 'file', password, stat: stat(uid, gid, mode) })

/** The folders from the top to `path`, all root's and open but for those named. */
export function traversals(
  path: string,
  theirs: Traversals['theirs'],
  states: Readonly<Record<string, State>> = {},
  unsafe: readonly string[] = [],
): Traversals {
  const parts = path.split('/').filter(Boolean)
  const prefixes = parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)
  const folders = prefixes.map(folder => ({
    path: folder,
    stat: states[folder] ?? stat(0, 0, 0o40755),
    safe: !unsafe.includes(folder),
  }))
  return { ours: { folders }, theirs }
}
export const closedAt = (path: string): Traversals['theirs'] =>
  known({ folders: [], end: { path, closed: true } })

export const HBA = '/etc/postgresql/16/main/pg_hba.conf'
const SOUND_RULES = `local all postgres peer map=superuser_map
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
`
/** The declared rules are in force. */
const AS_DECLARED: Rules['difference'] = known({ difference: undefined, unwritten: undefined })
/** Facts about rules in a text, and which of them decides: only names, `all`, groups and whole ranges are in it. */
export function rules(text: string, groups: readonly string[] = [], difference = AS_DECLARED) {
  const all = readLines(text).map(({ line, fields }): Rule => {
    const [type, databases = [], roles = [], ...rest] = fields
    const local = type?.[0]?.text === 'local'
    const [method, ...options] = local ? rest : rest.slice(1)
    return {
      file: HBA,
      line,
      type: type?.[0]?.text ?? '',
      databases,
      roles,
      ...(local ? {} : { clients: clientsOf(rest[0]?.[0]?.text ?? '') }),
      method: method?.[0]?.text ?? '',
      options: options.flat().map(({ text }) => {
        const [name = '', value = ''] = text.split('=')
        return [name, value] as const
      }),
    }
  })
  const isFor = (field: Field, name: string): boolean =>
    field.some(({ text }) => text === 'all' || text === name || groups.some(group => text === `+${group}`))
  const fits = ({ type, clients, databases, roles }: Rule, attempt: LoginAttempt): boolean =>
    isFor(databases, attempt.database) &&
    isFor(roles, attempt.role) &&
    (attempt.type === 'local'
      ? type === 'local'
      : isAmong(attempt.address, clients) && (type === 'host' || (type === 'hostssl' && attempt.ssl)))
  return known<Rules>({
    path: HBA,
    rules: all,
    errors: [],
    difference,
    judge: attempt => {
      const [decides, ...shadowed] = all.filter(rule => fits(rule, attempt))
      return { decides, shadowed }
    },
  })
}

const MASKS: Readonly<Record<string, string>> = {
  8: '255.0.0.0',
  32: '255.255.255.255',
  128: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
}

function clientsOf(text: string): Clients {
  const [address = '', bits = ''] = text.split('/')
  return text === 'all' ? { kind: 'all' } : { kind: 'range', address, mask: MASKS[bits] ?? '' }
}

export const self = (change: Partial<ServerState> = {}): ServerState => ({
  version: '16.11',
  configuration: '/etc/postgresql/16/main/postgresql.conf',
  listenAddresses: 'localhost',
  hbaFile: HBA,
  identFile: '/etc/postgresql/16/main/pg_ident.conf',
  data: '/var/lib/postgresql/16/main',
  loaded: SECONDS - 3600,
  now: SECONDS,
  asked: [SECONDS, SECONDS],
  checksums: true,
  tls: false,
  alone: false,
  pendingRestart: [],
  sessions: 1,
  mostSessions: 97,
  pid: 100,
  mayConnect: true,
  files: [],
  ruleErrors: [],
  settingErrors: [],
  aside: [],
  collations: [],
  ...change,
})

/** What the application's database holds, as it should be, but for what `change` says. */
export const contents = (change: Partial<DatabaseContents> = {}): DatabaseContents => ({
  standby: false,
  hasPublic: true,
  createsInPublic: true,
  connectionLimit: -1,
  sessions: 2,
  foreign: [],
  definers: [],
  ...change,
})
/** What the application finds there. */
export const needs = (change: Partial<Needs> = {}): Needs => ({
  ...contents(),
  searchPath: '"$user", public',
  searchPathSource: 'default',
  path: [{ name: 'public', usable: true }],
  schema: 'public',
  creates: true,
  readOnly: false,
  readOnlySource: 'default',
  ...change,
})

export const role = (change: Partial<CurrentRole> = {}): CurrentRole => ({
  login: true,
  replication: true,
  validUntil: null,
  connectionLimit: -1,
  verifier: 'SCRAM-SHA-256$',
  verifierSince: null,
  ...change,
})

/** What the manifest declares, as it should be, but for what `change` says. */
export function cluster(change: Partial<Cluster> = {}): Cluster {
  return {
    identifier: '1',
    inRecovery: false,
    data: '/var/lib/postgresql/16/main',
    holding: true,
    scramIterations: 4096,
    roles: new Map(
      manifest.roles.map(({ name, ...declared }) => [name, role({ ...declared, validUntil: null })]),
    ),
    databases: new Map(manifest.databases.map(({ name, owner }) => [name, owner])),
    ...change,
  }
}
export const withRole = (change: Partial<CurrentRole>): Cluster =>
  cluster({ roles: new Map(cluster().roles).set(ROLE, role(change)) })

export const up = (change: Partial<ServerState> = {}, more: Partial<Server> = {}): Server => ({
  state: 'up',
  major: 16,
  self: known(self(change)),
  cluster: known(cluster()),
  rules: rules(SOUND_RULES),
  closed: known([]),
  contents: known(contents()),
  ...more,
})

export const problem = (
  kind: Problem['kind'],
  cause: string,
  stage: Problem['stage'] = 'refused',
): Problem => ({
  transient: stage !== 'refused',
  stage,
  code: stage === 'refused' ? 77 : 75,
  cause,
  hint: 'Look at the log of PostgreSQL for ADDRESS.',
  kind,
})
export const notUp = (
  stage: Problem['stage'],
  kind: Problem['kind'],
  cause: string,
): Pick<Facts, 'server'> => ({
  server: { state: stage, problem: problem(kind, cause, stage) },
})

export const ADDRESSES = ['::1', '127.0.0.1'] as const
export const loggedIn = (address: string): Attempt => ({
  with: 'vault',
  outcome: { address, ok: true },
})
export const refused = (address: string, why: Problem): Attempt => ({
  with: 'vault',
  outcome: { address, ok: false, problem: why },
})
/** The login at ::1 fails, that at 127.0.0.1 does not. */
export const refusedOnce = (kind: Problem['kind'], cause: string, stage: Problem['stage'] = 'refused') => ({
  attempts: [refused('::1', problem(kind, cause, stage)), loggedIn('127.0.0.1')],
})
/** Both fail alike. */
export const refusedTwice = (kind: Problem['kind'], cause: string, stage: Problem['stage'] = 'refused') => ({
  attempts: ADDRESSES.map(address => refused(address, problem(kind, cause, stage))),
})

export const unit = (name: UnitName, change: Partial<Unit> = {}): Unit => ({
  name,
  load: 'loaded',
  active: 'active',
  result: 'success',
  file: 'enabled',
  dropIns: [],
  homeless: name === 'postgres-endoreg-setup.service' || name === 'endo-api-boot.service',
  stale: false,
  status: 0,
  restarts: 0,
  again: false,
  invocation: undefined,
  age: 86_400,
  lastError: undefined,
  ended: undefined,
  dropped: false,
  unheard: undefined,
  ...change,
})
/** The chain, all of it well but for those named. */
export const units = (change: Partial<Record<UnitName, Partial<Unit>>>) => ({
  units: known(CHAIN.map(name => unit(name, change[name]))),
})

export const backup = (finished: Date, over: Partial<Description> = {}): Backup => ({
  name: '2026-11-26T02-00-00Z',
  path: '/var/backups/endoreg/2026-11-26T02-00-00Z',
  size: 1,
  description: {
    format: 1,
    name: '2026-11-26T02-00-00Z',
    host: 'gc-10',
    reason: 'regular',
    started: finished.toISOString(),
    finished: finished.toISOString(),
    madeBy: 'endoreg-provision',
    server: { version: '16.11', major: 16, identifier: '1' },
    roles: [],
    tablespaces: [],
    databases: [],
    files: [],
    ...over,
  },
})

const ACCOUNTS: Accounts = {
  postgres: { name: 'postgres', uid: UID.postgres, gid: GID.postgres },
  vaultOwner: { name: 'admin', uid: UID.admin, gid: GID.admin },
  vaultGroup: { name: 'sensitiveServices', gid: GID.vault },
  service: { name: settings.serviceUser, uid: UID.service, gid: GID.service },
  serviceGroup: { name: settings.serviceGroup, gid: GID.service },
  member: true,
}
export const accounts = (change: Partial<Accounts>) => ({
  accounts: known<Accounts>({ ...ACCOUNTS, ...change }),
})

export const yaml = `engine: django.db.backends.postgresql
name: ${settings.dbName}
user: ${ROLE}
host: localhost
port: 5432
password_file: ${CHECKOUT}/conf/db_pwd
`
type Checkout = NonNullable<Extract<Facts['checkout'], { known: true }>['value']>
export const checkout = (
  copy: Checkout['copy'] = { state: 'file', password },
  text: string | null = yaml,
  more: Partial<Checkout> = {},
) => ({
  checkout: known({
    path: CHECKOUT,
    copy,
    key: { state: 'file' as const, password: new Password('key') },
    ...(text === null ? {} : { settings: { text, mode: 0o600 } }),
    local: { state: 'ours' as const, text: localSettings(settings), mode: 0o640 },
    litter: [],
    ...more,
  }),
})

/** The versions of PostgreSQL's programs on the PATH. */
export const tools = (psql: number | undefined, dump = psql): Facts['tools'] => ({
  psql: known(psql),
  pg_dump: known(dump),
})

/** What is seen by root on a Debian on which all is well, but for what `told` says. */
export const facts = (told: Partial<Facts> = {}): Facts => ({
  settings,
  manifest,
  now: NOW,
  root: true,
  nixos: false,
  systemd: true,
  ...accounts({}),
  pathToVault: traversals(VAULT_FOLDER, known({ folders: [] })),
  pathToCheckout: traversals(CHECKOUT, known({ folders: [] })),
  vault: vault(vaultFile()),
  vaultInUse: undefined,
  vaultTarget: { path: VAULT, mode: 0o100640 },
  vaultForService: known(true),
  vaultCredential: false,
  ...checkout(),
  strays: known([]),
  names: { hosts: known(''), resolved: known([...ADDRESSES]), ipv6: true },
  server: up(),
  standbyDown: false,
  data: {
    path: '/var/lib/postgresql/16/main',
    major: 16,
    hbaFile: HBA,
    identFile: self().identFile,
    configFile: '/etc/postgresql/16/main/postgresql.conf',
  },
  missingData: undefined,
  programs: true,
  words: SILENCE,
  elsewhere: undefined,
  other: undefined,
  patroni: undefined,
  rules: rules(SOUND_RULES),
  agreement: { copyIsVault: true, vaultIsVerifier: 'same', copyIsVerifier: 'same' },
  attempts: ADDRESSES.map(loggedIn),
  needs: known(needs()),
  foreign: known(undefined),
  disks: known([]),
  ...units({}),
  backupUnits: known({ failed: undefined, timer: undefined }),
  health: undefined,
  backups: known({ backups: [backup(NOW)], unusable: [] }),
  reset: known(undefined),
  synchronised: known(true),
  tools: tools(16),
  lacking: [],
  unheard: [],
  ...told,
})

/** A host whose access rules come from the Nix store. */
export const NIXOS = {
  nixos: true,
  data: {
    path: '/var/lib/postgresql/16',
    major: 16,
    hbaFile: '/nix/store/0-pg_hba.conf',
    identFile: '/x',
    configFile: '/x',
  },
} as const
