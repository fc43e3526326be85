/**
 * Starts a built command, or with `--compile` prepares all of them: what `lib/launch.sh` and the build run.
 *
 * A converged run is mostly Node.js compiling the same functions again, so the build stores them compiled.
 * V8 takes the stored code only where its own version, its flags and the length of the source fit, and compiles as
 * usual where they do not; a source that is newer than the stored code is not trusted to fit. It does not
 * notice a damaged file, and crashes on it: so a digest stands in front.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'

const bin = join(__dirname, 'bin')

/** A bundle is one function of Node's `require` and `module`, as the build wraps it; in ASCII, which is the quickest to read. */
const source = (file: string): string => readFileSync(file, 'latin1')

const storedFor = (file: string): string => `${file}.cache`

const digest = (code: Buffer): Buffer => createHash('sha256').update(code).digest()
const DIGEST_LENGTH = 32

/** The stored code of `file`, or undefined where there is none that can be used. */
function readStored(file: string): Buffer | undefined {
  const stored = statSync(storedFor(file), { throwIfNoEntry: false })
  if (!stored?.isFile() || stored.mtimeMs < statSync(file).mtimeMs) return undefined
  const content = readFileSync(storedFor(file))
  const code = content.subarray(DIGEST_LENGTH)
  return content.subarray(0, DIGEST_LENGTH).equals(digest(code)) ? code : undefined
}

/** Runs the bundle of a command, or of what one loads later, and gives what it exports. */
function start(name: string): unknown {
  const file = join(bin, `${name}.cjs`)
  const code = readStored(file)
  const script = new Script(source(file), { filename: file, ...(code ? { cachedData: code } : {}) })
  const main: (load: (module: string) => unknown, module: { exports: unknown }) => void =
    script.runInThisContext()
  const module = { exports: {} }
  main(load, module)
  return module.exports
}

/** zx is a bundle of its own: a converged run starts no program, and reading it took 2 ms. */
const load = (module: string): unknown => (module === 'zx/core' ? start('zx') : require(module))

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
  const code = script.createCachedData()
  const temporary = `${storedFor(file)}.tmp`
  const handle = openSync(temporary, 'w', 0o644)
  writeSync(handle, Buffer.concat([digest(code), code]))
  fsyncSync(handle)
  closeSync(handle)
  renameSync(temporary, storedFor(file))
}

const [, , name = ''] = process.argv
if (name === '--compile') {
  for (const file of readdirSync(bin)) if (file.endsWith('.cjs')) compile(join(bin, file))
} else {
  process.argv.splice(1, 2, join(__dirname, '..', 'bin', name))
  recogniseAddresses()
  try {
    start(name)
  } catch (error) {
    // Without this Node.js would end with 1, which says drift.
    console.error(
      `${name}: the built command is damaged, so build it again (npm run build): ${String(error)}`,
    )
    process.exitCode = 70
  }
}
