import { basename, dirname } from 'node:path'
import { type Call, isIn, isSocket, isTemporary, statementOf } from './system-calls.ts'

/** Where a run writes. */
export type Places = {
  /** What is named here has to outlive a power cut that comes after the run. */
  readonly durable: readonly string[]
  /** Here a name may be lost with the power, but never be that of a file which is not whole. */
  readonly whole?: readonly string[]
  /** What a run may look at only with the writers' lock: of the commands that take it first of all. */
  readonly locked?: readonly string[]
}

/** Statements that make something the case which relies on all the files before. */
const RELIES = /\bPASSWORD\b|^COMMIT\b|pg_reload_conf/
const LOCK = /pg_advisory_lock\(28550350293329255\)/
/** An X of the protocol ends a session, and what it holds. */
const END = 'X\0\0\0\u0004'

/** A file that a run makes. Link gives it a second path. */
type File = { exclusive: boolean; mode: number; written: boolean; onDisk: boolean }

/** What a run that ended with 0 has done in another order than it must. */
export function orderBreaches(calls: readonly Call[], places: Places): string[] {
  return new Order(places).follow(calls)
}

class Order {
  readonly #places: Places
  readonly #breaches: string[] = []
  readonly #files = new Map<string, File>()
  /** What was named or removed in a folder since that was last synchronised. */
  readonly #pending = new Map<string, Set<string>>()
  /** What this run has removed. */
  readonly #gone = new Set<string>()
  /** The session with the writers' lock, as strace names it. */
  #lock: string | undefined
  #released = false

  constructor(places: Places) {
    this.#places = places
  }

  follow(calls: readonly Call[]): string[] {
    for (const call of calls) {
      this.#session(call)
      if (this.#isOurs(call.target) || this.#isOurs(call.to)) this.#file(call)
    }
    this.#requireDisk('the end of the run')
    if (this.#lock !== undefined && !this.#released) this.#breach('the lock is not given back')
    return [...new Set(this.#breaches)]
  }

  #isOurs(path: string): boolean {
    const { durable, whole = [] } = this.#places
    return [...durable, ...whole].some(folder => isIn(path, folder))
  }

  #isDurable(path: string): boolean {
    const { durable, whole = [] } = this.#places
    return durable.some(folder => isIn(path, folder)) && !whole.some(folder => isIn(path, folder))
  }

  #breach(text: string): void {
    this.#breaches.push(text)
  }

  #session(call: Call): void {
    const { target, text } = call
    if (isSocket(target) && target === this.#lock && text.startsWith(END)) this.#released = true
    const statement = statementOf(call)
    if (statement === undefined) return
    if (LOCK.test(statement)) this.#lock ??= target
    if (RELIES.test(statement)) this.#requireDisk(statement.replace(/PASSWORD.*/s, 'PASSWORD'))
  }

  /** Everything so far has reached the disk. */
  #requireDisk(before: string, within = ''): void {
    for (const [path, file] of this.#files) {
      if (file.written && !file.onDisk && isIn(path, within || '/') && path !== within)
        this.#breach(`${path} is not on the disk before ${before}`)
    }
    for (const [folder, names] of this.#pending) {
      if (within !== '' && !isIn(folder, within)) continue
      for (const name of names) this.#breach(`${name} in ${folder} is not on the disk before ${before}`)
    }
  }

  #requireLock({ name, target }: Call): void {
    if (!this.#places.locked) return
    if (this.#lock === undefined) this.#breach(`${name} ${target} before the lock`)
    if (this.#released) this.#breach(`${name} ${target} after the lock`)
  }

  #file(call: Call): void {
    const { name, target, to, rest } = call
    const looks = name === 'openat' && !/O_(?:CREAT|WRONLY|RDWR)/.test(rest)
    const guarded = this.#places.locked?.some(path => isIn(target, path)) ?? false
    if (guarded || (!looks && this.#isDurable(target))) this.#requireLock(call)
    if (name === 'openat') this.#open(target, rest)
    else if (/write|ftruncate/.test(name)) this.#write(target)
    else if (/sync$/.test(name)) this.#sync(target)
    else if (/ch(?:own|mod)/.test(name)) this.#own(target)
    else if (name.startsWith('mkdir')) this.#note(target)
    else if (name.startsWith('link')) this.#name(target, to, false)
    else if (name.startsWith('rename')) this.#name(target, to, true)
    else if (/^(?:unlink|rmdir)/.test(name)) this.#remove(target)
  }

  #open(path: string, rest: string): void {
    if (!/O_CREAT/.test(rest) || this.#files.has(path)) return
    const mode = Number.parseInt(/, (0\d+)/.exec(rest)?.[1] ?? '0', 8)
    const exclusive = /O_EXCL/.test(rest) && /O_NOFOLLOW/.test(rest)
    this.#files.set(path, { exclusive, mode, written: false, onDisk: false })
  }

  #write(path: string): void {
    const file = this.#files.get(path) ?? { exclusive: true, mode: 0o600, written: true, onDisk: false }
    if (!file.written) {
      if (!file.exclusive) this.#breach(`${path} could have been there before its first byte`)
      if ((file.mode & 0o077) !== 0) this.#breach(`${path} is born open to others`)
      this.#note(path)
    }
    file.written = true
    file.onDisk = false
    this.#files.set(path, file)
  }

  #sync(path: string): void {
    this.#pending.delete(path)
    const file = this.#files.get(path)
    if (file) file.onDisk = true
  }

  #own(path: string): void {
    if (this.#files.get(path)?.written) this.#breach(`${path} gets owner or mode after its first byte`)
  }

  /** A name that is the last one of its file has to reach the disk. */
  #note(path: string): void {
    if (isTemporary(path) || !this.#isDurable(path)) return
    const folder = dirname(path)
    this.#pending.set(folder, (this.#pending.get(folder) ?? new Set()).add(basename(path)))
  }

  #forget(path: string): void {
    this.#pending.get(dirname(path))?.delete(basename(path))
  }

  #name(from: string, to: string, moves: boolean): void {
    const file = this.#files.get(from)
    if (file?.written && !file.onDisk) this.#breach(`${to} gets its name before its bytes are on the disk`)
    this.#requireDisk(`${to} gets its name`, from)
    if (moves) this.#move(from, to)
    else if (file) this.#files.set(to, file)
    this.#gone.delete(to)
    // What had a name and loses it has lost it for good when its folder is synchronised.
    if (moves && !isTemporary(from)) this.#note(from)
    this.#note(to)
  }

  #move(from: string, to: string): void {
    this.#forget(from)
    for (const [path, file] of [...this.#files]) {
      if (!isIn(path, from)) continue
      this.#files.delete(path)
      this.#files.set(`${to}${path.slice(from.length)}`, file)
    }
    for (const [folder, names] of [...this.#pending]) {
      if (!isIn(folder, from)) continue
      this.#pending.delete(folder)
      this.#pending.set(`${to}${folder.slice(from.length)}`, names)
    }
  }

  #remove(path: string): void {
    this.#files.delete(path)
    this.#forget(path)
    this.#pending.delete(path)
    if (isTemporary(path)) return
    // What is removed had something in its place, under this folder or one above it.
    for (let folder = dirname(path); this.#isOurs(folder); folder = dirname(folder)) {
      for (const name of this.#pending.get(folder) ?? [])
        if (!this.#gone.has(`${folder}/${name}`))
          this.#breach(`${path} is removed before ${name} in ${folder} is on the disk`)
    }
    if (!isTemporary(dirname(path))) this.#note(path)
    this.#gone.add(path)
  }
}

/** Messages of a session in which a verifier could have reached a log: each of the four has its place and is alone. */
export function silenceBreaches(calls: readonly Call[]): string[] {
  const sessions = new Map<string, string[]>()
  for (const call of calls) {
    const statement = statementOf(call)
    if (statement === undefined) continue
    sessions.set(call.target, [...(sessions.get(call.target) ?? []), statement])
  }
  return [...sessions.values()].flatMap(said =>
    said.flatMap((statement, index) => {
      if (!/PASSWORD|SCRAM-SHA-256\$/.test(statement)) return []
      const [rate = '', begin = '', , commit = ''] = said.slice(Math.max(0, index - 2), index + 2)
      const wrong = [
        ...(/^ALTER ROLE "[^"]+" WITH PASSWORD \$(\w+)\$[^;]*\$\1\$$/.test(statement)
          ? []
          : ['the verifier is not alone in its message']),
        ...(rate === 'SET log_transaction_sample_rate = 0' ? [] : ['the sample rate is not off before it']),
        ...(/^BEGIN READ WRITE; SET LOCAL log_statement = 'none'; SET LOCAL /.test(begin)
          ? []
          : ['no message of its own silences the log']),
        ...(commit === 'COMMIT; RESET log_transaction_sample_rate'
          ? []
          : ['it is not committed right after']),
      ]
      return wrong
    }),
  )
}
