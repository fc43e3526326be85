/**
 * Starts a built command, or with `--compile` prepares all of them: what `lib/launch.sh` and the build run.
 *
 * A converged run is mostly Node.js compiling the same functions again, so the build stores them compiled.
 * V8 takes the stored code only where its own version and the length of the source fit, and compiles as
 * usual where they do not; a source that is newer than the stored code is not trusted to fit.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'

const bin = join(__dirname, 'bin')

/** A bundle is one function of Node's `require`, as the build wraps it; in ASCII, which is the quickest to read. */
const source = (file: string): string => readFileSync(file, 'latin1')

const storedFor = (file: string): string => `${file}.cache`

function start(file: string): void {
  const stored = storedFor(file)
  const fresh = (statSync(stored, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= statSync(file).mtimeMs
  const script = new Script(source(file), {
    filename: file,
    ...(fresh ? { cachedData: readFileSync(stored) } : {}),
  })
  recogniseAddresses()
  const main: (load: typeof require) => void = script.runInThisContext()
  main(require)
}

/**
 * Node.js asks a regular expression whether a host is an IPv6 address, on every connection, and V8 spends
 * 5 ms on optimising it for that. Without optimising, both its forms are compiled in 1 ms, and kept.
 */
function recogniseAddresses(): void {
  setFlagsFromString('--no-regexp-optimization')
  for (const host of ['localhost', '::1']) isIP(host)
  setFlagsFromString('--regexp-optimization')
}

/** Compiles every function now, not at its first call. The flag is part of what V8 compares, so it goes back first. */
function compile(file: string): void {
  setFlagsFromString('--no-lazy')
  const script = new Script(source(file), { filename: file })
  setFlagsFromString('--lazy')
  writeFileSync(storedFor(file), script.createCachedData())
}

const [, , name = ''] = process.argv
if (name === '--compile') {
  for (const file of readdirSync(bin)) if (file.endsWith('.cjs')) compile(join(bin, file))
} else {
  process.argv.splice(1, 2, join(bin, name))
  start(join(bin, `${name}.cjs`))
}
