import { type Clock, type Deadline, systemClock } from './deadline.ts'
import type { Failure } from './failure.ts'
import { describe, type Finding } from './finding.ts'
import {
  clean,
  columns,
  type Face,
  outputWidth,
  printAll,
  standardErrorFace,
  visibleJson,
  writeAll,
} from './output.ts'
import { Status } from './status.ts'
import type { Check, Step } from './terms.ts'

/** Priorities of syslog(3), as the journal takes them from the start of a line (sd-daemon(3)). */
const PRIORITY = { error: 3, warning: 4, change: 5, info: 6 } as const
type Level = keyof typeof PRIORITY

const COLOUR: Readonly<Record<Level, string>> = { error: '31', warning: '33', change: '32', info: '2' }

/** Milliseconds between two words about the same waiting. */
const REMINDER = 5000
/** Milliseconds without an answer after which there is something to say. */
const SILENCE = 1000

/** What was asked for, and not only what happened. */
type Asked = {
  /** For people, on standard output; no line longer than `width` where that is a terminal. */
  readonly text: (width: number | undefined) => string
  /** What the document of --json has of it. */
  readonly keys: Readonly<Record<string, unknown>>
}

/** What the events of a run are told to; the only place that prints. */
export class Report {
  readonly command: string
  readonly check: boolean
  readonly face: Face
  readonly #json: boolean
  readonly #changes: Step[] = []
  #checks: readonly Check[] = []
  #findings: readonly Finding[] | undefined
  readonly #described = new Set<string>()
  #asked: Asked['keys'] = {}
  #said: { what: string; at: number } | undefined
  #told: number | undefined
  #progress = false
  readonly #status = new Status()
  readonly #clock: Clock

  constructor(options: { command: string; check: boolean; json: boolean; face?: Face; clock?: Clock }) {
    this.command = options.command
    this.check = options.check
    this.#json = options.json
    this.face = options.face ?? standardErrorFace()
    this.#clock = options.clock ?? systemClock
  }

  get changes(): readonly Step[] {
    return this.#changes
  }

  get checks(): readonly Check[] {
    return this.#checks
  }

  /** What a diagnosis found; undefined where none was made. */
  get findings(): readonly Finding[] | undefined {
    return this.#findings
  }

  /** A change was made, or in check mode would be. */
  change(step: Step): void {
    this.#changes.push({ resource: step.resource, action: step.action })
    this.#line('change', `${this.check ? 'would change ' : ''}${step.resource}: ${step.action}`)
  }

  /** A check was done. Where it was done before, this one counts. */
  checked(check: Check): void {
    this.#checks = [...this.#checks.filter(({ name }) => name !== check.name), check]
  }

  /**
   * What a diagnosis found; a later one of the same run replaces it. Each is told once, in a few lines, and of one that a
   * later diagnosis finds again only that it is still there.
   */
  found(findings: readonly Finding[]): void {
    this.#findings = findings
    for (const finding of findings) {
      const [first, ...rest] = describe(finding)
      const level = finding.severity === 'notice' ? 'info' : finding.severity
      if (this.#described.has(first)) {
        if (level !== 'info') this.#line(level, `still there: ${finding.id} (${finding.subject})`)
        continue
      }
      this.#described.add(first)
      this.#line(level, first)
      for (const line of rest) this.#line('info', line)
    }
  }

  /** What the run was asked for: text on standard output, or with --json keys of the document. */
  show({ text, keys }: Asked): void {
    this.#asked = keys
    if (this.#json) return
    this.#clearProgress()
    const lines = text(outputWidth()).split('\n').map(clean)
    printAll(`${lines.join('\n')}\n`, 'what was asked for')
  }

  /** Something a person should know that is no change. */
  note(text: string): void {
    this.#line('info', text)
  }

  warning(text: string): void {
    this.#line('warning', text)
  }

  /** `what` is not there yet. Said once at the start and every five seconds; on a terminal shown all the time. */
  waiting(what: string, cause: string, deadline: Deadline): void {
    const now = deadline.clock.now()
    const seconds = `${Math.floor(deadline.elapsed() / 1000)} of ${deadline.seconds} s`
    if (this.face === 'terminal') {
      const part = Math.min(1, deadline.elapsed() / (deadline.seconds * 1000))
      this.#showProgress(`[${bar(part)}] ${seconds}, waiting for ${what}: ${cause}`)
    } else if (this.#said?.what !== what || now - this.#said.at >= REMINDER) {
      this.#said = { what, at: now }
      this.#line('info', `waiting for ${what}: ${cause} (${seconds})`)
      this.#status.say(clean(`waiting for ${what}: ${cause}`))
    }
  }

  /**
   * How far a long piece of work is: shown all the time on a terminal, elsewhere once in five seconds.
   *
   * @param fraction from 0 to 1
   */
  progress(what: string, fraction: number): void {
    const part = Math.min(1, Math.max(0, fraction))
    const percent = `${Math.floor(part * 100)} %`
    if (this.face === 'terminal') {
      this.#showProgress(`[${bar(part)}] ${percent.padStart(5)} ${what}`)
      return
    }
    this.#status.say(clean(`${what}: ${percent}`))
    const now = this.#clock.now()
    this.#told ??= now
    if (now - this.#told < REMINDER) return
    this.#told = now
    this.#line('info', `${what}: ${percent}`)
  }

  /**
   * Does `work`; where that takes longer than a second, says what it waits for. The caller says when that is over.
   * With a deadline of no time at all it is tried once, and nothing is waited for.
   */
  async remind<T>(what: string, cause: string, deadline: Deadline, work: () => Promise<T>): Promise<T> {
    if (deadline.seconds === 0) return work()
    const reminder = setInterval(() => this.waiting(what, cause, deadline), SILENCE)
    try {
      return await work()
    } finally {
      clearInterval(reminder)
    }
  }

  /** The waiting is over. */
  waited(): void {
    this.#said = undefined
    this.#told = undefined
    this.#clearProgress()
  }

  /** How much changed, for the line that sums up. */
  tally(): string {
    const number = this.#changes.length
    if (number === 0) return 'converged, nothing to change'
    return `${count(number, 'change')} ${this.check ? 'to make, nothing was touched' : 'made'}`
  }

  /** The last line of a run that did what it should. */
  summary(text: string): void {
    this.#line('info', text)
    this.#status.conclude(clean(text))
    this.#document(undefined)
  }

  /** The last lines of a run that failed. */
  failure(failure: Failure): void {
    this.#line('error', `cannot ${failure.message}: ${failure.reason}`)
    this.#line('error', `what to do: ${failure.hint}`)
    this.#status.conclude(clean(`cannot ${failure.message}: ${failure.reason}`))
    this.#line(
      'error',
      `failed with exit code ${failure.code}, ${count(this.#changes.length, 'change')} made before`,
    )
    this.#document({
      code: failure.code,
      message: clean(`cannot ${failure.message}`),
      cause: clean(failure.reason),
      hint: clean(failure.hint),
    })
  }

  #document(error: object | undefined): void {
    if (!this.#json) return
    const document = {
      command: this.command,
      changed: this.#changes.length > 0,
      check: this.check,
      changes: this.#changes,
      checks: this.#checks,
      ...(this.#findings ? { findings: this.#findings } : {}),
      ...this.#asked,
      ...(error ? { error } : {}),
    }
    const text = visibleJson(JSON.stringify(document, undefined, 2))
    if (error) writeAll(1, `${text}\n`)
    else printAll(`${text}\n`, 'the JSON document')
  }

  #line(level: Level, text: string): void {
    this.#clearProgress()
    const line = clean(text)
    const named = `${this.command}: ${line}`
    if (this.face === 'journal') this.#write(`<${PRIORITY[level]}>${line}\n`)
    else if (this.face === 'terminal' && !process.env['NO_COLOR']) {
      this.#write(`\u001b[${COLOUR[level]}m${named}\u001b[0m\n`)
    } else this.#write(`${named}\n`)
  }

  #showProgress(text: string): void {
    this.#write(`\r\u001b[K${clean(text).slice(0, columns() - 1)}`)
    this.#progress = true
  }

  #clearProgress(): void {
    if (!this.#progress) return
    this.#progress = false
    this.#write('\r\u001b[K')
  }

  #write(text: string): void {
    writeAll(2, text)
  }
}

/** Twenty characters of which as many are filled as `part`, from 0 to 1, says. */
function bar(part: number): string {
  const width = 20
  const done = Math.floor(part * width)
  return `${'#'.repeat(done)}${'.'.repeat(width - done)}`
}

/** "no changes", "1 change", "2 changes" */
export const count = (number: number, noun: string): string =>
  `${number === 0 ? 'no' : number} ${noun}${number === 1 ? '' : 's'}`
