import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { Settings } from '../../frame/settings.ts'
import type { Helpers } from '../../host/helpers.ts'
import type { Account } from '../../host/identity.ts'
import { isMaintained } from '../../host/lock.ts'
import { ask } from '../../host/shell.ts'
import { hasSystemd } from '../../host/units.ts'
import { inspectData, saysMoved } from '../../reset/folders.ts'
import { type Journal, readJournal } from '../../reset/journal.ts'
import { measure, type Space } from '../../server/as-postgres.ts'
import { findProgram } from '../../server/programs.ts'
import { resolveAddresses } from '../../server/prove.ts'
import { type Holder, holderOf, listenersAt, socketsOf } from '../../server/sockets.ts'
import { type Fact, ifKnown, known, toFact, toFactLater, toSaid } from './fact.ts'

/** How this host finds the address of the database. */
export type Names = {
  /** The text of /etc/hosts. */
  readonly hosts: Fact<string>
  /** What the resolver gives for ENDOREG_DB_HOST, in its order. */
  readonly resolved: Fact<readonly string[]>
  /** Whether the loopback interface has an IPv6 address. */
  readonly ipv6: boolean
}

export async function gatherNames({ dbHost }: Settings): Promise<Names> {
  const addresses = Object.values(networkInterfaces()).flatMap(all => all?.map(({ address }) => address))
  return {
    hosts: toFact(() => readFileSync('/etc/hosts', 'utf8')),
    resolved: await toFactLater(() => resolveAddresses(dbHost)),
    ipv6: addresses.includes('::1'),
  }
}

/**
 * Who listens at a TCP port of this host beside the process `own`: the first of them.
 *
 * @param own the server that we mean; undefined where none is known
 */
export const gatherForeign = (port: number, own: number | undefined): Fact<Holder | undefined> =>
  toFact(() => {
    const ours = own === undefined ? new Set<string>() : socketsOf(String(own))
    // Where its sockets are not to be seen, nobody can be told from it.
    if (own !== undefined && ours.size === 0) return undefined
    const other = listenersAt(port).find(({ inode }) => !ours.has(inode))
    return other && holderOf(other)
  })

/** The major versions of PostgreSQL's programs on the PATH. */
type Tools = Readonly<Record<'psql' | 'pg_dump', Fact<number | undefined>>>

async function majorOf(program: string): Promise<Fact<number | undefined>> {
  const said = await ask(program, '--version')
  if (said.out === undefined && said.missing) return known(undefined)
  return toSaid(said, out => {
    const [, major] = /\(PostgreSQL\) (\d+)/.exec(out) ?? []
    return major === undefined ? undefined : Number(major)
  })
}

export async function gatherTools(): Promise<Tools> {
  const [psql, dump] = await Promise.all([majorOf('psql'), majorOf('pg_dump')])
  return { psql, pg_dump: dump }
}

/** One of these that a backup, or a person, does not find, and what findProgram said of it. */
export type Lacking = { readonly name: 'psql' | 'pg_dump'; readonly why: string; readonly hint: string }

/** Those of the server's version that are nowhere; one that is on the PATH and of another version is not looked for. */
export async function gatherLacking(tools: Tools, major: number): Promise<readonly Lacking[]> {
  const names = (['pg_dump', 'psql'] as const).filter(name => ifKnown(tools[name]) === undefined)
  const looked = await Promise.all(
    names.map(async name => {
      const found = await toFactLater(() => findProgram(name, major))
      return found.known ? [] : [{ name, why: found.why, hint: found.hint }]
    }),
  )
  return looked.flat()
}

/** Whether systemd says that the clock follows a time server; undefined where nobody there can say that. */
export async function gatherClock(): Promise<Fact<boolean | undefined>> {
  if (!hasSystemd()) return known(undefined)
  const said = await ask('timedatectl', 'show', '--property=NTPSynchronized')
  if (said.out === undefined && said.missing) return known(undefined)
  return toSaid(said, out => out.trim() === 'NTPSynchronized=yes')
}

/** A reset or an undo that was begun and not finished. */
export type Begun = {
  readonly journal: Journal
  /** Whether there is a data folder. */
  readonly there: boolean
  /** Whether the folder that it is about has its new name. */
  readonly moved: boolean
  /** Whether somebody is at work, with it or with something else. */
  readonly busy: boolean
}

/** Looks whether one was interrupted. */
export async function gatherReset(
  settings: Settings,
  postgres: Account | undefined,
): Promise<Fact<Begun | undefined>> {
  return toFactLater(async () => {
    // Before the journal: what ends in between has taken that away.
    const busy = await isMaintained(settings)
    const journal = readJournal(settings)
    if (!journal || !postgres) return undefined
    const folder = inspectData.as(postgres, journal.cluster.data)
    return { journal, there: folder.state !== 'missing', moved: saysMoved(folder, journal), busy }
  })
}

/** The file system where something lives. */
export type Disk = Space & { readonly holds: string }

/** The space where PostgreSQL's data and log of changes and the vault live, each file system once. */
export const gatherDisks = (
  helpers: Helpers,
  data: string | undefined,
  postgres: Account | undefined,
  vaultFolder: string,
): Promise<Fact<readonly Disk[]>> =>
  toFactLater(async () => {
    const named = [
      ...(data && postgres
        ? (await measure.laterAs(helpers, postgres, [data, `${data}/pg_wal`])).map(space => ({
            ...space,
            holds: space.path === data ? 'data' : 'write-ahead log',
          }))
        : []),
      ...measure.here([vaultFolder]).map(space => ({ ...space, holds: 'vault' })),
    ]
    const disks = new Map<number, Disk>()
    for (const disk of named) {
      const before = disks.get(disk.device)
      disks.set(disk.device, before ? { ...before, holds: `${before.holds} and ${disk.holds}` } : disk)
    }
    return [...disks.values()]
  })
