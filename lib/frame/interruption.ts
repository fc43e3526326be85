import { ExitCode, Failure } from './failure.ts'

/** What systemd sends to stop a unit (systemd.kill(5)), and what a terminal does. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
/** Milliseconds that protected work gets to come to its end; with what ends the process after it, less than a second. */
const GRACE = 700

/**
 * Ends the run when a signal asks for it: at once, or when the work that must not be left half done has come
 * to its end. Whatever is not protected may end anywhere: the next run goes on from there, and PostgreSQL
 * gives the lock back with the session.
 */
export class Interruption {
  readonly #end: (failure: Failure) => void
  #protected = 0
  #asked: Failure | undefined

  /** @param end tells of the failure and ends the process */
  constructor(end: (failure: Failure) => void) {
    this.#end = end
    for (const signal of SIGNALS) process.on(signal, () => this.#ask(signal))
  }

  #ask(signal: string): void {
    const failure = stopped(signal)
    if (this.#protected === 0) this.#end(failure)
    this.#asked = failure
    setTimeout(() => this.#end(failure), GRACE)
  }

  /** Does `work` to its end, within a second of the signal. */
  async protect<T>(work: () => Promise<T>): Promise<T> {
    this.#protected++
    try {
      return await work()
    } finally {
      this.#protected--
      if (this.#asked && this.#protected === 0) this.#end(this.#asked)
    }
  }
}

const stopped = (signal: string): Failure =>
  new Failure(ExitCode.tryLater, {
    message: 'go on',
    cause: `${signal} asked this run to stop`,
    hint: 'Run it again: it goes on from where it was.',
  })
