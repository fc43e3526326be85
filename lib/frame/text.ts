import leven from 'leven'

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Bytes for people: "512 bytes", "12.3 MiB". */
export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
}

const STEPS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const

/** A stretch of time for people, in its largest whole unit: "3 days", "1 minute". */
export function durationText(seconds: number): string {
  const [size, unit] = STEPS.find(([step]) => seconds >= step) ?? [1, 'second']
  const number = Math.max(0, Math.floor(seconds / size))
  return `${number} ${unit}${number === 1 ? '' : 's'}`
}

/** What is wrong with a text, or undefined. */
export type Rule = (value: string) => string | undefined

/** Nothing but printable ASCII. Most texts are, and regular expressions with classes of Unicode take a millisecond to compile. */
export const PLAIN = /^[ -~]*$/

/** A text for one line, in whatever is made of it: YAML takes more than control characters for line breaks. */
export const text: Rule = value =>
  !PLAIN.test(value) && /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}\ufffd]/u.test(value)
    ? 'has a control character, a line separator or a character that is none'
    : undefined

/** A name in PostgreSQL; a longer one would be cut off (NAMEDATALEN, manual 4.1.1). */
export const databaseName: Rule = value =>
  text(value) ??
  (Buffer.byteLength(value) > 63 ? 'is longer than the 63 bytes of a PostgreSQL name' : undefined)

/** A name that a role can have: not one of those that role specifications and PostgreSQL's own roles use. */
export const roleName: Rule = value => {
  if (value.startsWith('pg_')) return 'begins with pg_, which PostgreSQL keeps for itself'
  if (value === 'public' || value === 'none') return 'is a name that PostgreSQL keeps for itself'
  return databaseName(value)
}

/** The one of `known` that `name` was most likely meant to be, by edit distance; undefined where none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: { name: string; distance: number } | undefined
  for (const candidate of known) {
    const distance = leven(name, candidate)
    if (distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { name: candidate, distance }
  }
  return best && best.distance <= Math.max(3, name.length / 3) ? best.name : undefined
}
