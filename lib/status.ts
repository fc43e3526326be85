import { childProcess } from './child-process.ts'

/** Milliseconds that systemd gets to take the last word; a run is not held up by it. */
const LAST_LIMIT = 1000

/**
 * The line that `systemctl status` shows beside "Status:", where systemd wants one (sd_notify(3); the unit
 * says NotifyAccess=all). Only a run that waits has something to say there. Node.js has no datagram sockets
 * of the file system, so systemd's own program speaks for it.
 */
export class Status {
  readonly #wanted: boolean
  #said = false

  constructor(env: NodeJS.ProcessEnv = process.env) {
    this.#wanted = Boolean(env['NOTIFY_SOCKET'])
  }

  /** Shows `text` from now on. */
  say(text: string): void {
    if (!this.#wanted) return
    this.#said = true
    childProcess()
      .spawn('systemd-notify', [`--status=${text}`], { stdio: 'ignore' })
      .on('error', () => {})
      .unref()
  }

  /** The last word, where anything was said before: otherwise a waiting that is over would stand there. */
  conclude(text: string): void {
    if (!this.#said) return
    childProcess().spawnSync('systemd-notify', [`--status=${text}`], { stdio: 'ignore', timeout: LAST_LIMIT })
  }
}
