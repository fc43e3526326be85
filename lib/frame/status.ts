import { writeSync } from 'node:fs'

/**
 * The line that `systemctl status` shows beside "Status:", where systemd wants one (sd_notify(3)). Only a run
 * that waits has something to say there. Node.js opens no datagram sockets of the file system, so
 * `lib/launch.sh` has opened one before; it is this process that writes, and systemd listens to no other
 * (NotifyAccess=main).
 */
export class Status {
  readonly #socket: number | undefined
  #said = false

  constructor(env: NodeJS.ProcessEnv = process.env) {
    const { NOTIFY_SOCKET, NOTIFY_FD = '' } = env
    this.#socket = NOTIFY_SOCKET && /^[1-9]\d*$/.test(NOTIFY_FD) ? Number(NOTIFY_FD) : undefined
  }

  /** Shows `text` from now on. */
  say(text: string): void {
    if (this.#socket === undefined) return
    this.#said = true
    try {
      writeSync(this.#socket, `STATUS=${text}`)
    } catch {
      // systemd has other things to do, and the journal has the same line.
    }
  }

  /** The last word, where anything was said before: otherwise a waiting that is over would stand there. */
  conclude(text: string): void {
    if (this.#said) this.say(text)
  }
}
