import { Failure } from '../../frame/failure.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import type { Session } from '../../server/session.ts'
import { describeCluster, describeDatabases } from '../describe.ts'
import type { SavedDatabase } from '../terms.ts'
import type { Share } from './archive.ts'
import { freeName, isInPlace, NEW } from './bound.ts'
import { compareRoles, compareShared } from './compare.ts'
import { applyGlobals, createMissingRoles, readGlobals } from './globals.ts'
import { databaseNames, drop, dropInvalid, dropLeftovers } from './leftovers.ts'
import { prepareNew, restoreInPlace } from './prepare.ts'
import { Incomplete } from './refused.ts'
import { type Made, type Replaced, swap } from './swap.ts'
import type { Road } from './terms.ts'

/** Milliseconds that catalogs get, and a lock. */
const LIMIT = 60_000

/** How a restore ended. */
export type Restored = {
  /** How what is there differs from what the backup says: sentences by database, and for the roles. */
  readonly databases: ReadonlyMap<string, readonly string[]>
  readonly roles: readonly string[]
}

/**
 * Restores databases and roles. What is replaced is replaced in one moment, when everything new is there and holds
 * what the backup says; killed before, nothing but new databases and roles without a login are left, which the next
 * restore takes up. For the holder of the maintenance's lock.
 *
 * @param conclude what is done in the same session when the databases `done` are in their places
 */
export async function restore(
  road: Road,
  conclude: (client: Session, done: readonly string[], replaced: readonly Replaced[]) => Promise<void>,
): Promise<Restored> {
  const { run, backup } = road
  return inSession(run, LOCK_DATABASE, LIMIT, async client => {
    await dropLeftovers(run, client)
    await dropInvalid(run, client, road.databases)
    const incomplete = await createMissingRoles(client, backup.description.roles)
    const globals = await readGlobals(backup, road.allRoles ? undefined : incomplete, incomplete)
    const made: Made[] = []
    const found = new Map<string, readonly string[]>()
    let refused: readonly string[] = []
    let replaced: readonly Replaced[]
    try {
      await prepareAll(road, client, made, found)
      run.report.waited()
      replaced = await swap(run, client, made, road, async () => {
        refused = await applyGlobals(client, globals, road.managed)
      })
    } catch (error) {
      for (const { name } of made) await drop(run, client, name).catch(() => {})
      throw error
    } finally {
      run.report.waited()
    }
    const names = [...made.map(({ saved }) => saved.name), ...found.keys()]
    await conclude(client, names, replaced)
    const differences = await compareAll(road, client, made, found, globals.roles)
    return {
      databases: differences.databases,
      roles: [...refused.map(statement => `not restored: ${statement}`), ...differences.roles],
    }
  })
}

/** Restores every database beside the one that it replaces, or in place. */
async function prepareAll(
  road: Road,
  client: Session,
  made: Made[],
  found: Map<string, readonly string[]>,
): Promise<void> {
  const { run, databases } = road
  const taken = new Set(await databaseNames(client))
  const total = databases.reduce((sum, { size }) => sum + size, 0)
  const shares = new Map<string, Share>()
  let before = 0
  for (const { name, size } of databases) {
    shares.set(name, { before: before / total, own: size / total })
    before += size
  }
  const shareOf = ({ name }: SavedDatabase): Share => shares.get(name) ?? { before: 0, own: 0 }
  // Those that are changed where they are come last, when all others are there.
  for (const saved of databases.filter(({ name }) => !isInPlace(name))) {
    const name = freeName(NEW, taken)
    try {
      await prepareNew(road, client, saved, name, shareOf(saved))
      made.push({ saved, name })
    } catch (error) {
      if (error instanceof Incomplete && road.accept) made.push({ saved, name, lacking: error })
      else await giveUp(road, client, saved, name, error)
    }
  }
  run.report.waited()
  const lacking = made.flatMap(item => item.lacking ?? [])
  if (lacking.length > 0 && !(await road.accept?.(lacking))) {
    for (const item of [...made]) {
      if (!item.lacking) continue
      made.splice(made.indexOf(item), 1)
      await giveUp(road, client, item.saved, item.name, item.lacking)
    }
  }
  for (const saved of databases.filter(({ name }) => isInPlace(name))) {
    try {
      const differences = await restoreInPlace(road, client, saved, shareOf(saved))
      if (differences) found.set(saved.name, differences)
    } catch (error) {
      goOn(road, saved, error)
    }
  }
}

async function giveUp(
  road: Road,
  client: Session,
  saved: SavedDatabase,
  name: string,
  error: unknown,
): Promise<void> {
  await drop(road.run, client, name).catch(() => {})
  goOn(road, saved, error)
}

function goOn({ onFailure }: Road, saved: SavedDatabase, error: unknown): void {
  if (!(error instanceof Failure)) throw error
  onFailure(saved, error)
}

/** Compares what is there now with what the backup says. */
async function compareAll(
  { backup, databases: wanted, major }: Road,
  client: Session,
  made: readonly Made[],
  found: ReadonlyMap<string, readonly string[]>,
  roles: readonly string[],
): Promise<Pick<Restored, 'databases' | 'roles'>> {
  const { databases } = await describeDatabases(client, major, LIMIT)
  const current = new Map(databases.map(database => [database.name, database]))
  const cluster = await describeCluster(client, LIMIT)
  const compared = new Map<string, readonly string[]>()
  for (const saved of wanted) {
    const its = current.get(saved.name)
    const isMade = made.find(({ saved: { name } }) => name === saved.name)
    const contents = found.get(saved.name)
    if (!isMade && !contents) continue
    compared.set(saved.name, [
      ...(contents ?? isMade?.lacking?.lost ?? []),
      ...(its ? compareShared(saved, its, isMade !== undefined) : ['not there, or closed']),
    ])
  }
  const expected = backup.description.roles.filter(({ name }) => roles.includes(name))
  return { databases: compared, roles: compareRoles(expected, cluster.roles) }
}
