import { existsSync, realpathSync, statSync } from 'node:fs'
import { listBackups } from '../../backup/folder.ts'
import { scrubber } from '../../frame/scrub.ts'
import type { Settings } from '../../frame/settings.ts'
import { splitPath } from '../../host/folder.ts'
import { type Helpers, withHelpers } from '../../host/helpers.ts'
import { type Account, effectiveUid } from '../../host/identity.ts'
import { hasSystemd } from '../../host/units.ts'
import { loadManifest } from '../../provision/manifest.ts'
import { findStrays, type Stray } from '../../provision/strays.ts'
import { readVault } from '../../provision/vault.ts'
import { vaultInUse } from '../../provision/vault-plan.ts'
import { filesLaterOf, filesOf } from '../../server/as-postgres.ts'
import {
  asNamed,
  findOnlyPostmaster,
  findOtherCluster,
  findPostmaster,
  type Postmaster,
} from '../../server/clusters.ts'
import { type DataFolder, findDataFolder, findMissingData } from '../../server/data-folder.ts'
import { inspectPatroni, markedFiles } from '../../server/patroni.ts'
import { isServerInstalled } from '../../server/programs.ts'
import { gatherAccounts, gatherTraversals } from './accounts.ts'
import { type BackupUnits, gatherBackupUnits } from './backup-units.ts'
import { type Fact, Hearing, ifKnown, known, toFact, toFactLater, unknown } from './fact.ts'
import { askHealth } from './health.ts'
import {
  gatherClock,
  gatherDisks,
  gatherForeign,
  gatherLacking,
  gatherNames,
  gatherReset,
  gatherTools,
} from './host.ts'
import {
  attemptLogins,
  compare,
  gatherNeeds,
  gatherPasswordFiles,
  ROOT,
  readable,
  requireRight,
  secretFilesOf,
  secretsIn,
} from './passwords.ts'
import { gatherServer, type ServerFacts } from './server.ts'
import { gatherCredential, gatherUnits, isOwnError, type Unit } from './units.ts'
import { gatherWords, type Quote, SILENCE } from './words.ts'

/** What was looked at, once: everything the findings are made from. */
export type Facts = Readonly<Awaited<ReturnType<typeof gather>>>

/** Looks at everything, beside each other where something else has to be waited for. Changes nothing. */
export const gather = (settings: Settings) => withHelpers(helpers => gatherWith(helpers, settings))

async function gatherWith(helpers: Helpers, settings: Settings) {
  const manifest = loadManifest(settings)
  const naming = gatherNames(settings)
  const waiting = Promise.all([
    gatherServer(settings, manifest, naming),
    naming,
    gatherUnits(),
    gatherBackupUnits(),
    gatherTools(),
    gatherClock(),
    settings.apiHealthUrl === undefined ? undefined : askHealth(settings.apiHealthUrl),
  ])
  waiting.catch(() => {})
  const accounts = gatherAccounts(settings)
  const { postgres, service, vaultOwner } = ifKnown(accounts) ?? {}
  const vaultFolder = splitPath(settings.vaultFile).folder
  // Begun beside what the server and systemd are asked.
  const files = Promise.all([
    gatherPasswordFiles(helpers, settings, accounts),
    gatherTraversals(helpers, vaultFolder, service),
    gatherTraversals(helpers, settings.apiDir, service),
    gatherReading(helpers, settings, service),
    gatherStrays(helpers, settings),
  ])
  files.catch(() => {})
  const [server, names, units, backupUnits, tools, synchronised, health] = await waiting
  const [{ vault, checkout }, pathToVault, pathToCheckout, vaultForService, strays] = await files
  const passwords = readable(vault, checkout)
  const addresses = ifKnown(names.resolved) ?? []
  const attempting = attemptLogins(settings, addresses, passwords)
  const hearing = new Hearing()
  const data = hearing.take('where the data of PostgreSQL is', locate(settings, server, postgres))
  const self = server.state === 'up' ? ifKnown(server.self) : undefined
  const cluster = server.state === 'up' ? ifKnown(server.cluster) : undefined
  const attempts = await attempting
  const missingData =
    server.state === 'absent' && !data && postgres && settings.host.startsWith('/')
      ? ifKnown(toFact(() => findMissingData(settings, postgres)))
      : undefined
  const elsewhere = hearing.take(
    'whether PostgreSQL runs elsewhere',
    locatePostmaster(settings, server, data?.path ?? missingData, postgres),
  )
  const patroni =
    data && postgres
      ? hearing.take(
          'whether the cluster belongs to Patroni',
          await toFactLater(async () =>
            inspectPatroni(await filesLaterOf(helpers, postgres, markedFiles(data)), data, self?.pid),
          ),
        )
      : undefined
  const other =
    postgres && isEmpty(settings, server) && self
      ? hearing.take(
          'the other clusters of this host',
          toFact(() => findOtherCluster(settings, postgres, self.data)),
        )
      : undefined
  const secrets = secretsIn({ vault, checkout })
  const quote = quoter(secrets)
  return {
    settings,
    manifest,
    now: new Date(),
    root: effectiveUid() === 0,
    /** Whether a NixOS configuration decides what is on this host. */
    nixos: existsSync('/etc/NIXOS'),
    systemd: hasSystemd(),
    accounts,
    pathToVault,
    pathToCheckout,
    vault,
    /** The vault file with the password in use, where for its sake the setup makes none where the settings say. */
    vaultInUse: cluster && ifKnown(toFact(() => vaultInUse(settings, manifest, cluster, vaultOwner ?? ROOT))),
    /** The vault file itself, where links lead to it, and its mode; undefined where it cannot be seen. */
    vaultTarget: ifKnown(
      toFact(() => {
        const path = realpathSync(settings.vaultFile)
        return { path, mode: statSync(path).mode }
      }),
    ),
    /** Whether the service account can read the vault file. */
    vaultForService,
    /** Whether the service account gets the password where it cannot read the vault file. */
    vaultCredential:
      !vaultForService.known &&
      hearing.take('whether endo-api-boot gets the password as a credential', await gatherCredential()) ===
        true,
    checkout,
    /** Copies of the password that other tools have left. */
    strays,
    names,
    server,
    /** Where the data is, of a server that is up or down; undefined where it cannot be seen. */
    data,
    /** The data folder that a configuration names and that is not there. */
    missingData,
    /** Whether the programs of a server are there. */
    programs: isServerInstalled(),
    /** Whether a server that is down comes up as a standby, as its data folder says. */
    standbyDown:
      server.state === 'absent' &&
      data !== undefined &&
      postgres !== undefined &&
      isSignalled(data, postgres),
    /** What a server that is down says of why it is. */
    words: server.state === 'absent' ? await gatherWords(data, postgres, quote) : SILENCE,
    /** Our server, where it is up and has no socket where the settings say. */
    elsewhere,
    /** The cluster that has the application's data, where the one that is up has nothing. */
    other,
    /** Why the cluster belongs to Patroni; undefined where it does not, as far as it could be seen. */
    patroni,
    rules: server.state === 'up' ? server.rules : unknown('only PostgreSQL knows what it makes of them'),
    agreement: await compare(passwords, server, settings.dbUser, attempts),
    attempts,
    needs: await gatherNeeds(settings, attempts, passwords),
    /** Who else listens at the server's port. */
    foreign:
      // A server that is up and does not tell its process would be taken for another one.
      (self !== undefined || server.state === 'absent') &&
      settings.dbPort === settings.port &&
      settings.host.startsWith('/')
        ? gatherForeign(settings.port, self?.pid ?? elsewhere?.pid)
        : known(undefined),
    disks: await gatherDisks(helpers, data?.path, postgres, vaultFolder),
    units: withoutSecrets(units, quote, quoter(secrets, secretFilesOf(settings))),
    /** The units that make the backups. */
    backupUnits: quoted(backupUnits, quote),
    /** How the API answers; undefined where there is no address to ask it at. */
    health,
    backups: toFact(() => {
      requireRight(settings.backupDir)
      return listBackups(settings)
    }),
    /** A reset of the cluster that was interrupted. */
    reset: await gatherReset(settings, postgres),
    /** Whether the clock follows a time server; undefined where nothing is known of that. */
    synchronised,
    tools,
    /** The programs of the server's version that are nowhere to be found. */
    lacking: server.state === 'up' ? await gatherLacking(tools, server.major) : [],
    /** What beside these could not be looked at. */
    unheard: hearing.unheard,
  }
}

const gatherReading = async (
  helpers: Helpers,
  { vaultFile, vaultManagedBy }: Settings,
  service: Account | undefined,
): Promise<Fact<true>> =>
  service
    ? toFactLater(async () => {
        await readVault.laterAs(helpers, service, vaultFile, vaultManagedBy ?? null)
        return true as const
      })
    : unknown('there is no service account')

const gatherStrays = async (helpers: Helpers, settings: Settings): Promise<Fact<readonly Stray[]>> =>
  effectiveUid() === 0
    ? toFactLater(() => findStrays(helpers, settings))
    : unknown('only root can look into the homes of others', 'Run it as root.', true)

/** Characters of a line that are quoted. */
const LONGEST = 300

/** How a line of somebody else's may be shown. */
function quoter(secrets: readonly string[], paths: readonly string[] = []): Quote {
  const scrub = scrubber(secrets, paths)
  // Cut when nothing is left in it that could be half a secret.
  return line => scrub(line).slice(0, LONGEST)
}

/** Of what units wrote into the journal only what may be shown: `ours` is for what our own commands say. */
function withoutSecrets(units: Fact<readonly Unit[]>, quote: Quote, ours: Quote): Fact<readonly Unit[]> {
  if (!units.known) return units
  return known(
    units.value.map(unit => ({
      ...unit,
      lastError: unit.lastError && (isOwnError(unit) ? ours : quote)(unit.lastError),
    })),
  )
}

function quoted(units: Fact<BackupUnits>, quote: Quote): Fact<BackupUnits> {
  const lastError = ifKnown(units)?.failed?.lastError
  if (!units.known || !units.value.failed || lastError === undefined) return units
  return known({ ...units.value, failed: { ...units.value.failed, lastError: quote(lastError) } })
}

/** The server's word for where its files are, and without it the usual places. */
function locate(
  settings: Settings,
  server: ServerFacts,
  postgres: Account | undefined,
): Fact<DataFolder | undefined> {
  if (server.state === 'up') {
    // Why that is not known, the family of the server says.
    const self = ifKnown(server.self)
    if (!self) return known(undefined)
    const { data: path, hbaFile, identFile, configuration: configFile } = self
    return known({ path, major: server.major, hbaFile, identFile, configFile })
  }
  if (!postgres || !settings.host.startsWith('/')) return known(undefined)
  return toFact(() => findDataFolder(settings, postgres))
}

/** PostgreSQL looks for this file at its start (manual, 27.2.4). */
function isSignalled({ path }: DataFolder, postgres: Account): boolean {
  const signal = `${path}/standby.signal`
  return toFact(() => filesOf(postgres, [signal]).read(signal)).known
}

/** Who is at work in the data folder of a server that does not answer. */
function locatePostmaster(
  { port, host }: Settings,
  server: ServerFacts,
  data: string | undefined,
  postgres: Account | undefined,
): Fact<Postmaster | undefined> {
  if (server.state !== 'absent' || !postgres || !host.startsWith('/')) return known(undefined)
  return toFact(() => {
    const found =
      findPostmaster(postgres, data, port) ??
      // Where no data folder is known for that port, the one server there is has another.
      (data === undefined ? findOnlyPostmaster(postgres, host) : undefined)
    return found && asNamed(found, host)
  })
}

/** Whether nothing has ever been made in the cluster, neither ours nor anybody's. */
function isEmpty({ dbUser }: Settings, server: ServerFacts): boolean {
  if (server.state !== 'up' || !server.cluster.known) return false
  const { inRecovery, roles, holding } = server.cluster.value
  return !inRecovery && !roles.has(dbUser) && !holding
}
