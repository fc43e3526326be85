import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A folder for the PATH whose setpriv(1) starts, for one account, something that never answers. */
export class StuckChildren {
  readonly bin: string
  readonly #pids: string

  /** @param folder where there is room for it, @param uid the account whose children are stuck */
  constructor(folder: string, uid: number) {
    this.bin = join(folder, 'stuck')
    this.#pids = join(this.bin, 'pids')
    mkdirSync(this.bin)
    const script = `#!/bin/sh
case $1 in --reuid=${uid}) echo $$ >>${this.#pids}; exec /usr/bin/setpriv "$1" sleep 600 ;; esac
exec /usr/bin/setpriv "$@"
`
    writeFileSync(join(this.bin, 'setpriv'), script, { mode: 0o755 })
    writeFileSync(this.#pids, '')
  }

  /** Ends them; gives how many there were. */
  end(): number {
    const pids = readFileSync(this.#pids, 'utf8').split('\n').filter(Boolean)
    for (const pid of pids) process.kill(Number(pid))
    return pids.length
  }
}
