import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A copy of /etc for the commands of one test alone: what they change there, nobody else sees.
 * Each command runs in a mount namespace of its own.
 */
export class PrivateEtc {
  #folder = ''

  /** Copies /etc as this test sees it; gone after the test. */
  create(t: { teardown: (work: () => unknown) => void }): void {
    this.#folder = mkdtempSync(join(tmpdir(), 'endoreg-etc-'))
    chmodSync(this.#folder, 0o755)
    execFileSync('cp', ['-a', '--', '/etc/.', this.#folder])
    t.teardown(() => rmSync(this.#folder, { recursive: true, force: true }))
  }

  /** Begins the command line of a program that sees it. */
  get prefix(): readonly string[] {
    const mount = 'mount --bind "$1" /etc && shift && exec "$@"'
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', mount, 'sh', this.#folder]
  }

  edit(file: string, change: (text: string) => string): void {
    this.write(file, change(this.read(file)))
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.#folder, file), text)
  }

  read(file: string): string {
    return readFileSync(join(this.#folder, file), 'utf8')
  }
}
