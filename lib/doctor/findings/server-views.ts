import type { CurrentRole } from '../../postgres/inspect.ts'
import type { Facts } from '../facts/gather.ts'
import type { ServerState } from '../facts/server-queries.ts'

/** What the server told about itself, or undefined. */
export const serverSelf = ({ server }: Facts): ServerState | undefined =>
  server.state === 'up' && server.self.known ? server.self.value : undefined

/** The application's role as the server has it, or undefined. */
export const currentRole = ({ server, settings }: Facts): CurrentRole | undefined =>
  server.state === 'up' && server.cluster.known ? server.cluster.value.roles.get(settings.dbUser) : undefined

/**
 * The files of these kinds that were changed after the server has loaded them. A time that is still to come says
 * nothing: the clock has gone back since.
 */
export const newerFiles = (self: ServerState | undefined, ...kinds: readonly ServedKind[]): string[] =>
  (self?.files ?? [])
    .filter(({ kind }) => kinds.includes(kind))
    .filter(({ changed }) => changed !== null && self && changed > self.loaded && changed <= self.now)
    .map(({ path }) => path)

type ServedKind = ServerState['files'][number]['kind']

export const isStandby = ({ server }: Facts): boolean =>
  server.state === 'up' && server.cluster.known && server.cluster.value.inRecovery
