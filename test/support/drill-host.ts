import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Description } from '../../lib/backup/terms.ts'
import type { Result, RunOptions } from './command.ts'
import type { Host } from './host.ts'
import { retell } from './shelf.ts'

/** Runs a drill. */
export const drill = (host: Host, args: readonly string[] = [], options: RunOptions = {}): Promise<Result> =>
  host.run('restore-postgres', ['--drill', ...args], options)

/** What drills have left in their folder. */
export const left = (host: Host): string[] => readdirSync(host.env['TMPDIR'] ?? '').sort()

/** Processes of a server whose data is in the folder of the host's drills. */
export function servers(host: Host): string[] {
  return readdirSync('/proc').filter(pid => {
    try {
      return (
        /^\d+$/.test(pid) &&
        readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`${host.env['TMPDIR']}/endoreg`)
      )
    } catch {
      return false
    }
  })
}

/** A backup that can be changed as a careful liar would: its digests fit what it says. */
export class Forgery {
  readonly folder: string
  readonly #manifest: string

  constructor(host: Host, name: string) {
    this.folder = join(host.folder, 'backups', name)
    this.#manifest = readFileSync(join(this.folder, 'manifest.json'), 'utf8')
  }

  /** Changes what the description says. */
  tell(edit: (told: Description) => void): void {
    retell(this.folder, edit)
  }

  /** Replaces a file, and its size and digest in the description. */
  put(file: string, bytes: Buffer): void {
    writeFileSync(join(this.folder, file), bytes)
    this.tell(told => {
      const its = told.files.find(({ name }) => name === file)
      Object.assign(its ?? {}, {
        size: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      })
    })
  }

  read(file: string): Buffer {
    return readFileSync(join(this.folder, file))
  }

  /** Does `work` with the forgery, and makes it true again. */
  async during(file: string, work: () => Promise<void>): Promise<void> {
    const bytes = this.read(file)
    await work()
    writeFileSync(join(this.folder, file), bytes)
    writeFileSync(join(this.folder, 'manifest.json'), this.#manifest)
  }
}
