/**
 * Starts a built command, or with `--compile` prepares all of them: what `lib/launch.sh` and the build run.
 *
 * A converged run is mostly Node.js compiling the same functions again, so the build stores them compiled.
 * V8 takes the stored code only where its own version and the length of the source fit, and compiles as
 * usual where they do not; a source that is newer than the stored code is not trusted to fit.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'

const bin = join(__dirname, '../bin')

/** Node's own wrapper, less what a bundle does not use. Sources are ASCII, which is the quickest to read. */
const wrap = (file: string): string => `(function(require,module,exports){${readFileSync(file, 'latin1')}\n})`

const storedFor = (file: string): string => `${file}.cache`

function start(file: string): void {
  const stored = storedFor(file)
  const fresh = (statSync(stored, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= statSync(file).mtimeMs
  const script = new Script(wrap(file), {
    filename: file,
    ...(fresh ? { cachedData: readFileSync(stored) } : {}),
  })
  const main: (...scope: unknown[]) => void = script.runInThisContext()
  main(createRequire(file), { exports: {} }, {})
}

/** Compiles every function now, not at its first call. The flag is part of what V8 compares, so it goes back first. */
function compile(file: string): void {
  setFlagsFromString('--no-lazy')
  const script = new Script(wrap(file), { filename: file })
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
