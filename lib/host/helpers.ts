import { whenLate } from '../frame/deadline.ts'
import {
  GO,
  isAlive,
  LATE,
  LIMIT,
  lastLine,
  noAnswer,
  notStarted,
  ours,
  result,
  stuck,
  toJson,
} from './as-account.ts'
import type { Account } from './identity.ts'
import { startOurs } from './shell.ts'

/** Characters of an answer that are waited for: its account could write for ever. */
const MOST = 4_194_304

/**
 * Children with the ids of other accounts, one for each account, that do one job after another while this process goes
 * on: where Node.js changes no ids, a child for each job costs a diagnosis a second. They know the groups that their
 * account had when they were started, so they last for one look at the host and not for longer.
 */
export class Helpers {
  readonly #helpers = new Map<string, Helper>()

  /**
   * As `delegate`, by the helper of `account`, which is started by the first that asks. What a job fails with, and the end of
   * a helper in it, is no failure of the others.
   */
  ask(account: Account, name: string, args: readonly unknown[]): Promise<unknown> {
    const key = [account.uid, account.gid, account.name].join(':')
    const helper = this.#helpers.get(key) ?? new Helper(account)
    this.#helpers.set(key, helper)
    return helper.ask(toJson({ name, args }) + GO)
  }

  /** Ends all of them. */
  end(): void {
    for (const helper of this.#helpers.values()) helper.end()
    this.#helpers.clear()
  }
}

/** Runs `work` with helpers, which end with it. */
export async function withHelpers<T>(work: (helpers: Helpers) => Promise<T>): Promise<T> {
  const helpers = new Helpers()
  try {
    return await work(helpers)
  } finally {
    helpers.end()
  }
}

/** The helper of one account. */
class Helper {
  readonly #account: Account
  #child: Child | undefined
  #before: Promise<unknown> = Promise.resolve()
  #over = false

  constructor(account: Account) {
    this.#account = account
    this.#child = new Child(account)
  }

  ask(line: string): Promise<unknown> {
    const answered = this.#before.then(() => this.#ask(line))
    this.#before = answered.catch(() => {})
    return answered
  }

  async #ask(line: string): Promise<unknown> {
    if (this.#over) throw stuck(this.#account, 'was ended before')
    this.#child ??= new Child(this.#account)
    let answer: string
    try {
      answer = await this.#child.ask(line)
    } catch (error) {
      // What it would still say is no answer to the next one.
      this.#child?.end()
      this.#child = undefined
      throw error
    }
    return result(this.#account, answer)
  }

  end(): void {
    this.#over = true
    this.#child?.end()
  }
}

/** A process that does one job after another. */
class Child {
  readonly #account: Account
  readonly #process: ReturnType<typeof startOurs>
  /** Fails once nothing more is to be heard of it. */
  readonly #ended: Promise<never>
  #hear: (line: string) => void = () => {}

  constructor(account: Account) {
    const child = startOurs(account, ours('job'))
    this.#account = account
    this.#process = child
    // Its end says why.
    child.stdin.on('error', () => {})
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-MOST)
    })
    this.#ended = new Promise((_, reject) => {
      this.#listen(() => reject(noAnswer(account)))
      child.on('error', error =>
        reject(isAlive(error) ? stuck(account, LATE) : notStarted(account, error.message)),
      )
      child.once('close', (code, signal) => {
        if (signal) return reject(stuck(account, `was ended by ${signal}`))
        reject(code === 0 ? noAnswer(account) : notStarted(account, lastLine(said)))
      })
    })
    this.#ended.catch(() => {})
  }

  #listen(tooMuch: () => void): void {
    let ready = false
    let text = ''
    this.#process.stdout.setEncoding('utf8').on('data', (more: string) => {
      const lines = (text + more).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        // The first one says that it is ready.
        if (ready) this.#hear(line)
        ready = true
      }
      if (text.length <= MOST) return
      text = ''
      tooMuch()
    })
  }

  /** Its answer to a line. Fails with 69 where it cannot be started, 75 where it gives none, is ended or late. */
  ask(line: string): Promise<string> {
    let callOff = () => {}
    const answer = new Promise<string>((resolve, reject) => {
      this.#hear = resolve
      this.#ended.catch(reject)
      callOff = whenLate(LIMIT, () => reject(stuck(this.#account, LATE)))
      this.#process.stdin.write(line)
    })
    return answer.finally(callOff)
  }

  end(): void {
    const { stdin, stdout, stderr } = this.#process
    // First: at the end of its input it would end by itself, as if it had nothing to say.
    this.#process.kill('SIGKILL')
    // What it has started may hold them, and is not waited for.
    for (const stream of [stdin, stdout, stderr]) stream.destroy()
  }
}
