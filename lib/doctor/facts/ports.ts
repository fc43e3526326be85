import { type Holder, holderOf, listenersAt, socketsOf, type TcpSocket } from '../../postgres/sockets.ts'
import { type Fact, look } from './fact.ts'

/** Who listens at a TCP port of this host. */
export type Listener = Holder & Pick<TcpSocket, 'family' | 'inode'>

/**
 * Who listens at `port` beside the process `own`.
 *
 * @param own the server that we mean; undefined where none is known
 */
export const gatherForeign = (port: number, own: number | undefined): Fact<readonly Listener[]> =>
  look(() => {
    const all = listenersAt(port)
    if (all.length === 0) return []
    const ours = own === undefined ? new Set<string>() : socketsOf(String(own))
    // Where its sockets are not to be seen, nobody can be told from it.
    if (own !== undefined && ours.size === 0) return []
    return all
      .filter(({ inode }) => !ours.has(inode))
      .map(found => ({ family: found.family, inode: found.inode, ...holderOf(found) }))
  })
