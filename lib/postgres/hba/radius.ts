/**
 * The values of a list with commas, which may be in double quotes (SplitGUCList() in varlena.c); undefined
 * where it is none.
 */
function splitList(text: string): readonly string[] | undefined {
  const list = text.replace(/^[\t-\r ]+|[\t-\r ]+$/g, '')
  if (list === '') return []
  const values: string[] = []
  const item = /(?:"((?:[^"]|"")*)"|([^",\t-\r ][^,\t-\r ]*))[\t-\r ]*(,[\t-\r ]*|$)/y
  for (;;) {
    const [all, quoted, plain, comma] = item.exec(list) ?? []
    if (all === undefined) return undefined
    values.push(plain ?? quoted?.replaceAll('""', '"') ?? '')
    if (comma === '') return values
  }
}

/** What the lists of the options hold, as PostgreSQL calls it. */
const LISTS: Readonly<Record<string, string>> = {
  radiusservers: 'server list',
  radiusports: 'port list',
  radiussecrets: 'secret list',
  radiusidentifiers: 'identifiers list',
}

/** Why PostgreSQL does not take a value of an option, or undefined. That it looks up servers by name is left out. */
export function radiusValueProblem(name: string, value: string): string | undefined {
  const list = LISTS[name]
  if (list === undefined) return undefined
  const values = splitList(value)
  const bad = name === 'radiusports' && values?.some(port => !/^[\t-\r ]*[+-]?0*[1-9]/.test(port))
  if (bad || (name === 'radiusports' && !values)) return `invalid RADIUS port number: "${value}"`
  return values ? undefined : `could not parse RADIUS ${list} "${value}"`
}

/** Why PostgreSQL does not take the options of a rule together, or undefined. */
export function radiusProblem(options: ReadonlyMap<string, string>): string | undefined {
  const count = (name: string): number => splitList(options.get(name) ?? '')?.length ?? 0
  const servers = count('radiusservers')
  for (const name of ['radiusservers', 'radiussecrets']) {
    if (count(name) === 0) return `authentication method "radius" requires argument "${name}" to be set`
  }
  for (const [name, word, least] of [
    ['radiussecrets', 'secrets', 1],
    ['radiusports', 'ports', 0],
    ['radiusidentifiers', 'identifiers', 0],
  ] as const) {
    const values = count(name)
    if (values !== least && values !== 1 && values !== servers) {
      return `the number of RADIUS ${word} (${values}) must be 1 or the same as the number of RADIUS servers (${servers})`
    }
  }
  return undefined
}
