import type { Failed, Outcome } from './pool.ts'

const INDENT = '    '

/** Tells people how a run of tests goes, and at its end what failed, what was skipped and why, and how many passed. */
export class Summary {
  readonly #began = performance.now()
  readonly #outcomes: Outcome[] = []
  #stopped = false

  /** Prints a line for a batch that has ended, with its figures and failures below. */
  add(outcome: Outcome): void {
    if (this.#stopped) return
    this.#outcomes.push(outcome)
    const { files, seconds, passed, failures, figures } = outcome
    const name = files.length > 1 ? `${files.length} files in one process` : files[0]
    console.log(
      `${failures.length > 0 ? 'FAILED' : 'ok    '} ${seconds.toFixed(1).padStart(6)} s  ${name} (${passed})`,
    )
    for (const figure of figures) console.log(`${INDENT}${figure}`)
    for (const failure of failures) this.#failure(failure)
  }

  #failure({ at, name, said }: Failed): void {
    const lines = said.split('\n').map(line => `${INDENT}${INDENT}${line}`)
    console.log([`${INDENT}${at}  ${name}`, ...lines].join('\n'))
  }

  /** Says that no more will be told of. */
  stopped(signal: string): void {
    this.#stopped = true
    console.log(`stopped by ${signal} after ${count(this.#files, 'file')}`)
  }

  /** @returns whether all is well: something ran, and nothing failed */
  end(): boolean {
    const failures = this.#outcomes.flatMap(outcome => outcome.failures)
    const skips = this.#outcomes.flatMap(({ skips, files }) =>
      skips.map(({ reason, name }) => ({ reason, name: files.length > 1 ? name : `${files[0]}: ${name}` })),
    )
    const passed = this.#outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)
    if (skips.length > 0) console.log('\nskipped:')
    for (const reason of new Set(skips.map(skip => skip.reason))) {
      console.log(reason)
      for (const skip of skips) if (skip.reason === reason) console.log(`${INDENT}${skip.name}`)
    }
    if (failures.length > 0) console.log('\nfailed:')
    for (const { at, name } of failures) console.log(`${at}  ${name}`)
    const seconds = Math.round((performance.now() - this.#began) / 1000)
    console.log(`\n${count(this.#files, 'file')} in ${Math.floor(seconds / 60)} min ${seconds % 60} s`)
    console.log(`${passed} passed, ${failures.length} failed, ${skips.length} skipped`)
    return failures.length === 0 && passed + skips.length > 0
  }

  get #files(): number {
    return this.#outcomes.reduce((sum, { files }) => sum + files.length, 0)
  }
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`
