import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { whenLate } from '../frame/deadline.ts'
import { ExitCode, Failure, isSystemError, systemError } from '../frame/failure.ts'
import { Password } from '../frame/password.ts'
import type { Account } from './identity.ts'
import { type Command, finishSync, startOurs, startOursWithChannel } from './shell.ts'

const failure = v.variant('kind', [
  v.strictObject({
    kind: v.literal('understood'),
    code: v.picklist([64, 69, 70, 73, 74, 75, 77, 78]),
    message: v.string(),
    cause: v.string(),
    hint: v.string(),
  }),
  v.strictObject({ kind: v.literal('system'), errno: v.string(), message: v.string() }),
  v.strictObject({ kind: v.literal('bug'), stack: v.string() }),
])
const answer = v.union([v.strictObject({ failure }), v.strictObject({ result: v.optional(v.unknown()) })])

/** How a job went, as it travels from one process to another. */
type Answer = v.InferOutput<typeof answer>

/** Ends what is asked for, and an answer: without it whoever asked was killed, and nothing is to be done. */
export const GO = '\n'

const BYTES = '$bytes'
const PASSWORD = '$password'

/** `value` as JSON in which bytes and passwords are written out: for a pipe between two processes of ours. */
export const toJson = (value: unknown): string => JSON.stringify(toPlain(value))

function toPlain(value: unknown): unknown {
  if (value instanceof Password) return { [PASSWORD]: value.reveal() }
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(toPlain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toPlain(inner)]))
}

/** What `toJson` wrote, to be looked at before it is used. Fails with a SyntaxError. */
export function fromJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value
    if (BYTES in value) return Buffer.from(String(value[BYTES]), 'base64')
    return PASSWORD in value ? new Password(String(value[PASSWORD])) : value
  })
}

/** The answer that tells the other process of `error`. */
export function toAnswer(error: unknown): Answer {
  if (error instanceof Failure) {
    const { code, message, reason, hint } = error
    return { failure: { kind: 'understood', code, message, cause: reason, hint } }
  }
  if (isSystemError(error)) return { failure: { kind: 'system', errno: error.code, message: error.message } }
  return { failure: { kind: 'bug', stack: error instanceof Error ? (error.stack ?? '') : String(error) } }
}

/** Whether `given` is an answer, and not what another process of that account made of it. */
export const isAnswer = (given: unknown): given is Answer => v.is(answer, given)

/** The answer in `text`, or undefined where there is none. */
export function parseAnswer(text: string): Answer | undefined {
  try {
    const given = fromJson(text)
    return isAnswer(given) ? given : undefined
  } catch {
    return undefined
  }
}

/** The result in an answer of the other process, not looked at yet; throws the error it tells of. */
export function fromAnswer(told: Answer): unknown {
  if ('failure' in told) throw toError(told.failure)
  return told.result
}

function toError(told: v.InferOutput<typeof failure>): Error {
  switch (told.kind) {
    case 'understood':
      return new Failure(told.code, told)
    case 'system':
      return systemError(told.errno, told.message)
    case 'bug':
      return new Error(told.stack)
  }
}

/** Milliseconds that a child gets for work on local files; its account could stop it for ever. */
export const LIMIT = 30_000
export const LATE = `did not end within ${LIMIT / 1000} s`

/**
 * Has a child process with the ids and groups of `account`, and none of root's rights, do the job `name`
 * with `args`. It gets both on a pipe and nothing of this process's environment, which may hold secrets.
 *
 * @returns what the job gave back; another process of that account may have had a hand in it, so look at it
 * Fails as the job did; with 69 where no such child can be started, 75 where it is stopped or killed.
 */
export function delegate(account: Account, name: string, args: readonly unknown[]): unknown {
  const input = toJson({ name, args }) + GO
  const { code, signal, error, late, out, err } = finishSync(ours('job'), LIMIT, { account, input })
  if (late) throw stuck(account, LATE)
  if (signal) throw stuck(account, `was ended by ${signal}`)
  if (error || code !== 0) throw notStarted(account, error?.message ?? lastLine(err))
  return result(account, out)
}

/** A job that waits, with everything loaded, for the moment to be done. */
export type Armed<R> = {
  readonly fire: () => Promise<R>
  /** It will not be done. */
  readonly discard: () => void
}

/** As `delegate`, but the child waits for the moment; settled once it is ready. */
export async function arm(account: Account, name: string, args: readonly unknown[]): Promise<Armed<unknown>> {
  const child = startOurs(account, ours('job'))
  const end = () => whenLate(LIMIT, () => child.kill('SIGKILL'))
  const started = end()
  let out = ''
  let said = ''
  let untold = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  child.stdin.on('error', error => {
    untold = `, and could not be told everything (${error.message})`
  })
  const ended = new Promise<unknown>((resolve, reject) => {
    child.on('error', error =>
      reject(isAlive(error) ? stuck(account, LATE) : notStarted(account, error.message)),
    )
    child.once('close', (code, signal) => {
      if (signal) return reject(stuck(account, `was ended by ${signal}`))
      if (code !== 0) return reject(notStarted(account, lastLine(said)))
      try {
        resolve(result(account, out, untold))
      } catch (error) {
        reject(error)
      }
    })
  })
  ended.catch(() => {})
  const ready = new Promise<void>(resolve => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      resolve()
    })
  })
  child.stdin.write(toJson({ name, args }))
  await Promise.race([ready, ended])
  started()
  return {
    fire: () => {
      const done = end()
      child.stdin.end(GO)
      return ended.finally(done)
    },
    discard: () => {
      child.kill('SIGKILL')
    },
  }
}

/**
 * Has a child process with the ids of `account` connect to the socket file `path`, and takes the connection
 * over: the other end sees who connected, not who uses it (unix(7), SO_PEERCRED).
 *
 * @param limit milliseconds
 * Fails as connect(2) does, with ETIMEDOUT past the limit; with 69 where no such child can be started.
 */
export function connectAs(account: Account, path: string, limit: number): Promise<Socket> {
  const child = startOursWithChannel(account, ours('connect', path))
  const callOff = whenLate(limit, () => child.kill('SIGKILL'))
  child.once('close', callOff)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', error => reject(isAlive(error) ? late(path) : notStarted(account, error.message)))
    child.once('close', (_, signal) => reject(signal ? late(path) : notStarted(account, lastLine(said))))
    child.once('message', (message, handle) => {
      if (handle instanceof Socket) return resolve(handle)
      if (!isAnswer(message)) return reject(noAnswer(account))
      try {
        fromAnswer(message)
      } catch (error) {
        reject(error)
      }
    })
  })
}

/** The Failure for a child that answered with something else than what its job gives. */
export const noAnswer = (account: Account, more = ''): Failure =>
  stuck(account, `gave no answer that can be read${more}`)

/** What the child that wrote `text` got as the result of its job; throws the error it tells of. */
export function result(account: Account, text: string, untold = ''): unknown {
  const answer = parseAnswer(text)
  if (!answer) throw noAnswer(account, untold)
  return fromAnswer(answer)
}

/** The launcher of `as-account`, which stands beside the folder of this command's own. */
export const ours = (...args: readonly string[]): Command => [
  join(dirname(process.argv[1] ?? ''), '../lib/as-account'),
  ...args,
]

export const lastLine = (text: string): string =>
  text.trim().split('\n').at(-1) || 'it ended without an answer'

export const notStarted = ({ name }: Account, cause: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `start a process with the rights of ${name}, since this Node.js (${process.version}) changes no ids itself`,
    cause,
    hint: `Let ${name} read and run ${join(dirname(process.argv[1] ?? ''), '..')} and Node.js, and have setpriv (util-linux) installed.`,
  })

/** Whether a child is past its time, and goes on: in a unit root may not kill what has another account's ids (CAP_KILL). */
export const isAlive = (error: Error): boolean => 'syscall' in error && error.syscall === 'kill'

const late = (path: string): Error => systemError('ETIMEDOUT', `no connection to ${path} in time`)

export const stuck = ({ name }: Account, what: string): Failure =>
  new Failure(ExitCode.tryLater, {
    message: `work with the rights of ${name}`,
    cause: `the process that does it ${what}`,
    hint: `Look at the processes of ${name} (ps -u ${name} -o pid,stat,args) and at the file system, and run it again.`,
  })
