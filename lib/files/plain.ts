import * as v from 'valibot'
import { Failure, isSystemError } from '../errors.ts'
import { Password } from '../password.ts'

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
export type Answer = v.InferOutput<typeof answer>

/** Ends what is asked for: without it whoever asked was killed, and nothing is to be done. */
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
      return Object.assign(new Error(told.message), { code: told.errno })
    case 'bug':
      return new Error(told.stack)
  }
}
