import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { accountName } from '../host/accounts.ts'
import { parseAddress } from './access/address.ts'

/** A TCP socket of this host, as proc_pid_net(5) lists them. */
type TcpSocket = {
  readonly family: 4 | 6
  /** Address and port as the kernel writes them. */
  readonly local: string
  readonly remote: string
  readonly state: string
  readonly uid: number
  readonly inode: string
}

/** Whoever has a socket. */
export type Holder = {
  readonly account: string
  /** Its process, where this account may see it. */
  readonly process?: { readonly pid: number; readonly name: string }
}

/** Every TCP socket of this host; by way of this process, for a unit with ProcSubset=pid has no /proc/net. */
const tcpSockets = (): readonly TcpSocket[] =>
  ([4, 6] as const).flatMap(family => {
    const path = `/proc/self/net/tcp${family === 4 ? '' : '6'}`
    // A kernel without IPv6 has no second table.
    const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').slice(1) : []
    return lines.map(line => {
      const [, local = '', remote = '', state = '', , , , uid, , inode = ''] = line.trim().split(/\s+/)
      return { family, local, remote, state, uid: Number(uid), inode }
    })
  })

/** The sockets that the process `pid` has open; none where it is gone or not ours to see. */
export function socketsOf(pid: string): ReadonlySet<string> {
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

function processOf(inode: string): Holder['process'] {
  const pid = readdirSync('/proc').find(name => /^\d+$/.test(name) && socketsOf(name).has(inode))
  if (!pid) return undefined
  try {
    return { pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim() }
  } catch {
    return undefined
  }
}

/** The account and, where it can be seen, the process that has a socket. */
export function holderOf({ uid, inode }: TcpSocket): Holder {
  const process = processOf(inode)
  return { account: accountName(uid), ...(process ? { process } : {}) }
}

/** "nc (pid 7) of the account mallory" */
export const describeHolder = ({ account, process }: Holder): string =>
  `${process ? `${process.name} (pid ${process.pid})` : 'another process'} of the account ${account}`

/** One end of a connection. */
export type End = { readonly address: string; readonly port: number }

/** States of a socket, in proc_pid_net(5). */
const LISTENING = '0A'

const portOf = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`

/** The flag of a Unix socket that listens (__SO_ACCEPTCON of linux/net.h), as /proc/net/unix has it. */
const ACCEPTS = '00010000'

/** The inodes of the sockets that listen at the file `path`, which may be gone since. */
export const listenersAtFile = (path: string): readonly string[] =>
  readFileSync('/proc/self/net/unix', 'utf8')
    .split('\n')
    .flatMap(line => {
      const [, , , flags, , , inode = '', ...rest] = line.trim().split(/\s+/)
      return flags === ACCEPTS && rest.join(' ') === path ? inode : []
    })

/** The sockets that listen at `port`, whatever their address. */
export const listenersAt = (port: number): readonly TcpSocket[] =>
  tcpSockets().filter(({ state, local }) => state === LISTENING && local.endsWith(portOf(port)))

/**
 * The socket on this host that has the other end of a connection; where none has accepted it, the one that listens
 * for it. Undefined where that cannot be seen, or is on another host.
 *
 * @param ours undefined where there is no connection any more
 */
export function otherEnd(theirs: End, ours: End | undefined): TcpSocket | undefined {
  const [local, remote] = [written(theirs), ours ? written(ours) : []]
  const accepted = tcpSockets().find(
    socket =>
      // Until it is accepted the kernel knows no account for it.
      socket.inode !== '0' &&
      local.some((text, index) => socket.local === text && socket.remote === remote[index]),
  )
  // Linux lets none listen at one address beside another that listens at all of them.
  const wildcards = ['0.0.0.0', '::'].flatMap(address => written({ address, port: theirs.port }))
  return accepted ?? listenersAt(theirs.port).find(found => [...local, ...wildcards].includes(found.local))
}

/** An end as the kernel writes it; a server that listens at :: has a client's IPv4 address as ::ffff:ADDRESS. */
const written = ({ address, port }: End): readonly string[] =>
  [kernelAddress(address), kernelAddress(`::ffff:${address}`)].map(text => text + portOf(port))

/** An address as the kernel writes it: words of 32 bits in hexadecimal, each in this machine's order of bytes (little-endian). */
function kernelAddress(address: string): string {
  const bytes = parseAddress(address) ?? []
  const words = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.slice(4 * index, 4 * index + 4))
  const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0')
  return words.map(word => [...word].reverse().map(hex).join('')).join('')
}
