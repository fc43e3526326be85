/** The units that PostgreSQL counts in, each with how many of them make the next. */
const SCALES: readonly (readonly (readonly [unit: string, next: number])[])[] = [
  [
    ['B', 1024],
    ['kB', 1024],
    ['MB', 1024],
    ['GB', 1024],
    ['TB', Number.POSITIVE_INFINITY],
  ],
  [
    ['us', 1000],
    ['ms', 1000],
    ['s', 60],
    ['min', 60],
    ['h', 24],
    ['d', Number.POSITIVE_INFINITY],
  ],
]

/**
 * A value with its unit, in the greatest that makes it a whole number, as SHOW writes it (convert_int_from_base_unit()
 * in guc.c). What has a unit already, or is no number above zero, stays as it is.
 *
 * @param unit as in pg_settings: "kB", "8kB", "ms"; null for none
 */
export function withUnit(value: string, unit: string | null): string {
  const [, factor = '', base = ''] = /^(\d*)(\w+)$/.exec(unit ?? '') ?? []
  if (!/^[1-9]\d*$/.test(value)) return value
  const scale = SCALES.find(units => units.some(([name]) => name === base))
  if (!scale) return value
  let number = Number(value) * Number(factor || 1)
  let at = scale.findIndex(([name]) => name === base)
  for (let next = scale[at]?.[1] ?? 0; number % next === 0; next = scale[at]?.[1] ?? 0) {
    number /= next
    at += 1
  }
  return `${number}${scale[at]?.[0]}`
}
