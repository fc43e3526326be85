import { networkInterfaces } from 'node:os'
import type { Account } from '../../files/accounts.ts'
import { parseHba } from '../../postgres/hba/parse.ts'
import type { HbaRule, Parsed, Surroundings } from '../../postgres/hba/terms.ts'
import { filesOf } from './as-postgres.ts'
import { type Fact, look } from './fact.ts'

/** The access rules as the files have them, which need not be what PostgreSQL has loaded. */
export type Rules = {
  readonly path: string
  readonly parsed: Parsed<HbaRule>
  readonly around: Surroundings
}

/** @param groups the roles that the application's role belongs to */
export const gatherRules = (
  path: string,
  major: number,
  postgres: Account,
  groups: readonly string[],
  application: string,
): Fact<Rules> =>
  look(() => ({
    path,
    parsed: parseHba(path, filesOf(postgres, [path]), major),
    around: {
      major,
      // Only the application's role is asked about; of a server that is down no memberships are known.
      isMember: (role, group) => role === group || (role === application && groups.includes(group)),
      interfaces: Object.values(networkInterfaces())
        .flatMap(addresses => addresses ?? [])
        .map(({ address, netmask }) => ({ address, netmask })),
      hostName: address => (address === '127.0.0.1' || address === '::1' ? 'localhost' : undefined),
    },
  }))
