import * as v from 'valibot'

// What restic writes with --json, a document a line; what is not used is left out (restic manual, "Scripting").

const ID = /^[0-9a-f]{8,64}$/

/** How far a backup or restore is. */
export const status = v.object({
  message_type: v.literal('status'),
  percent_done: v.number(),
  bytes_done: v.optional(v.number(), 0),
})

/** The end of a backup. */
export const summary = v.object({
  message_type: v.literal('summary'),
  /** New bytes in the repository, before compression. */
  data_added: v.number(),
  /** The whole id from 0.17, its beginning before. */
  snapshot_id: v.pipe(v.string(), v.regex(ID)),
})

export const snapshot = v.object({
  id: v.pipe(v.string(), v.regex(ID)),
  time: v.string(),
  hostname: v.string(),
  paths: v.array(v.string()),
  tags: v.optional(v.nullable(v.array(v.string()))),
})

/** A file or folder in a snapshot, as `ls` lists it. */
export const node = v.object({
  struct_type: v.literal('node'),
  type: v.string(),
  path: v.string(),
  size: v.optional(v.number(), 0),
})

const trouble = v.union([
  v.object({ message: v.string() }),
  v.object({ error: v.object({ message: v.string() }) }),
])

/** How far a check is: "[0:05] 33.33%  1 / 3 packs", which a version older than 0.18 writes in spite of --json. */
export function packsIn(line: string): number | undefined {
  const [, percent] = /^\[[\d:]+\]\s+([\d.]+)%\s+\d+ \/ \d+ packs$/.exec(line) ?? []
  return percent === undefined ? undefined : Number(percent) / 100
}

/** The document in `line` where it is one of `schema`, else undefined. */
export function documentIn<T>(schema: v.GenericSchema<unknown, T>, line: string): T | undefined {
  if (!/^(?:[[{]|null)/.test(line)) return undefined
  try {
    const found = v.safeParse(schema, JSON.parse(line))
    return found.success ? found.output : undefined
  } catch {
    return undefined
  }
}

/** The lines for people in a line of standard error, which is one, or a document with some inside. */
export function wordsIn(line: string): string[] {
  const found = documentIn(trouble, line)
  const text = found === undefined ? line : 'message' in found ? found.message : found.error.message
  return text.split('\n').filter(word => word.trim() !== '')
}
