import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { accountName } from '../../files/accounts.ts'
import { type Fact, look } from './fact.ts'

/** Who listens at a TCP port of this host. */
export type Listener = {
  readonly family: 4 | 6
  readonly account: string
  readonly inode: string
  /** Its process, where this account may see it. */
  readonly process?: { readonly pid: number; readonly name: string }
}

/** State of a socket that listens, in proc_pid_net(5). */
const LISTENING = '0A'

function listeners(family: 4 | 6, port: number): Listener[] {
  const table = readFileSync(family === 4 ? '/proc/net/tcp' : '/proc/net/tcp6', 'utf8')
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  return table.split('\n').flatMap(line => {
    const [, local = '', , state, , , , uid, , inode = ''] = line.trim().split(/\s+/)
    if (state !== LISTENING || local.split(':')[1] !== wanted) return []
    return [{ family, account: accountName(Number(uid)), inode }]
  })
}

/** The sockets that the process `pid` has open; none where it is gone or not ours to see. */
function socketsOf(pid: string): Set<string> {
  const folder = `/proc/${pid}/fd`
  const sockets = new Set<string>()
  try {
    for (const handle of readdirSync(folder)) {
      const inode = /^socket:\[(\d+)\]$/.exec(readLink(`${folder}/${handle}`))?.[1]
      if (inode) sockets.add(inode)
    }
  } catch {
    // It has ended, or belongs to another account.
  }
  return sockets
}

function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function processOf(inode: string): Listener['process'] {
  const pid = readdirSync('/proc').find(name => /^\d+$/.test(name) && socketsOf(name).has(inode))
  if (!pid) return undefined
  try {
    return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() }
  } catch {
    return undefined
  }
}

/**
 * Who listens at `port` beside the process `own`.
 *
 * @param own the server that we mean; undefined where none is known
 */
export const gatherForeign = (port: number, own: number | undefined): Fact<readonly Listener[]> =>
  look(() => {
    const all = [...listeners(4, port), ...listeners(6, port)]
    if (all.length === 0) return []
    const ours = own === undefined ? new Set<string>() : socketsOf(String(own))
    // Where its sockets are not to be seen, nobody can be told from it.
    if (own !== undefined && ours.size === 0) return []
    return all
      .filter(({ inode }) => !ours.has(inode))
      .map(found => {
        const process = processOf(found.inode)
        return process ? { ...found, process } : found
      })
  })
