import { lstatSync } from 'node:fs'
import { type NetConnectOpts, Socket } from 'node:net'
import { errnoOf } from '../errors.ts'
import type { Account } from '../files/accounts.ts'
import { connectAs } from '../files/delegate.ts'
import { changesIds, needsNoChange, withUid } from '../files/identity.ts'

/** A socket that connects with an account's effective uid. */
class PeerSocket extends Socket {
  readonly #account: Account

  constructor(account: Account) {
    super()
    this.#account = account
  }

  override connect(...target: [NetConnectOpts | string | number, ...unknown[]]): this {
    // connect(2) happens inside this call, before the ids change back.
    return withUid(this.#account, () => Reflect.apply(super.connect, this, target))
  }
}

/**
 * A socket for the driver to connect to the socket file `path`, where PostgreSQL's peer method will see
 * `account`. Where this Node.js changes no ids it is connected already, and `connect` only says so.
 *
 * @param limit milliseconds that connecting may take
 */
export async function peerSocket(account: Account, path: string, limit: number): Promise<Socket> {
  if (needsNoChange(account)) return new Socket()
  if (changesIds()) return new PeerSocket(account)
  // Asked here, again and again while PostgreSQL starts: a child each time would keep the host from starting it.
  lookFor(path)
  const socket = await connectAs(account, path, limit)
  socket.connect = () => {
    queueMicrotask(() => socket.emit('connect'))
    return socket
  }
  return socket
}

/** Fails as lstat(2) does; but in a folder that only the account enters, its child will see. */
function lookFor(path: string): void {
  try {
    lstatSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
  }
}
