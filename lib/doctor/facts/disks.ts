import type { Account } from '../../files/accounts.ts'
import { measure, type Space } from './as-postgres.ts'
import { type Fact, look } from './fact.ts'

/** The file system where something lives. */
export type Disk = Space & { readonly holds: string }

/** The space where PostgreSQL's data and log of changes and the vault live, each file system once. */
export const gatherDisks = (
  data: string | undefined,
  postgres: Account | undefined,
  vaultFolder: string,
): Fact<readonly Disk[]> =>
  look(() => {
    const named = [
      ...(data && postgres
        ? measure.as(postgres, [data, `${data}/pg_wal`]).map(found => ({
            ...found,
            holds: found.path === data ? 'data' : 'write-ahead log',
          }))
        : []),
      ...measure.here([vaultFolder]).map(found => ({ ...found, holds: 'vault' })),
    ]
    const disks = new Map<number, Disk>()
    for (const disk of named) {
      const before = disks.get(disk.device)
      disks.set(disk.device, before ? { ...before, holds: `${before.holds} and ${disk.holds}` } : disk)
    }
    return [...disks.values()]
  })
