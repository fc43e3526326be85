/**
 * What a data folder is called beside its own name:
 *
 * before-reset  it was set aside by a reset
 * before-undo   it was set aside when that was undone
 * new           a new cluster that is being made, or was when a run was killed
 * purged        set aside before, and being deleted
 */
const KINDS = ['before-reset', 'before-undo', 'new', 'purged'] as const
export type Kind = (typeof KINDS)[number]

/** A name that this program has given to a folder beside a data folder. */
export type Beside = { readonly name: string; readonly kind: Kind; readonly stamp: string }

const BESIDE = /^(.+)\.(before-reset|before-undo|new|purged)-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)$/

/** "2026-11-25T01-30-43Z" */
export const stampOf = (time: Date): string => `${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z`

/** The time that a stamp says, in milliseconds; NaN where there is no such one. */
export const timeOf = (stamp: string): number =>
  Date.parse(stamp.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))

/** The name for the data folder `data` that `kind` says. */
export const besideName = (data: string, kind: Kind, stamp: string): string => `${data}.${kind}-${stamp}`

/** What `candidate` says, where it is such a name beside `data`. */
export function parseBeside(data: string, candidate: string): Beside | undefined {
  const [, base, found, stamp] = BESIDE.exec(candidate) ?? []
  const kind = KINDS.find(known => known === found)
  return base === data && kind && stamp !== undefined ? { name: candidate, kind, stamp } : undefined
}

const newestFirst = (one: Beside, other: Beside): number => (one.stamp < other.stamp ? 1 : -1)

/** Those that hold data which was set aside, the newest first. */
export const setAside = <B extends Beside>(beside: readonly B[]): B[] =>
  beside.filter(({ kind }) => kind === 'before-reset' || kind === 'before-undo').sort(newestFirst)
