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

/** Texts one behind the other, each but the last with a full stop where it has none: some come from PostgreSQL or a program. */
export const sentences = (...texts: readonly string[]): string =>
  texts
    .filter(Boolean)
    .map((text, index, all) => (index < all.length - 1 ? text.replace(/[^.!?]$/, '$&.') : text))
    .join(' ')

/** Nothing but printable ASCII. Most texts are, and regular expressions with classes of Unicode take a millisecond to compile. */
export const PLAIN = /^[ -~]*$/

/** The one of `known` that `name` was most likely meant to be, by edit distance; undefined where none is within `most`. */
export function nearest(
  name: string,
  known: readonly string[],
  most = Math.max(3, name.length / 3),
): string | undefined {
  let best: { name: string; distance: number } | undefined
  for (const candidate of known) {
    const distance = leven(name, candidate)
    if (distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { name: candidate, distance }
  }
  return best && best.distance <= most ? best.name : undefined
}
