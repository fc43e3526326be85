import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The checkout's own files of systemd and of the package. */
const UNITS = new URL('../../units/', import.meta.url)

export const unitsPath = (name: string): string => fileURLToPath(new URL(name, UNITS))
export const readUnits = (name: string): string => readFileSync(unitsPath(name), 'utf8')

/** The names of all units that ship. */
export const unitNames = (): string[] =>
  readdirSync(UNITS)
    .filter(name => /\.(?:service|timer|socket|path|mount|target)$/.test(name))
    .sort()

/** A unit file: each directive, as "Section.Key", with its assignments in their order. */
export type UnitFile = ReadonlyMap<string, readonly string[]>

/** Reads a unit file as systemd.syntax(7) has it. An empty assignment takes back those before it, and counts as set. */
export function parseUnit(text: string): UnitFile {
  const directives = new Map<string, string[]>()
  let section = ''
  for (const line of logicalLines(text)) {
    const [, header] = /^\[(.*)\]$/.exec(line) ?? []
    if (header !== undefined) {
      section = header
      continue
    }
    const [, key, value = ''] = /^([^=]+?)\s*=\s*(.*)$/.exec(line) ?? []
    if (key === undefined) throw new Error(`no directive: ${JSON.stringify(line)}`)
    const name = `${section}.${key}`
    directives.set(name, value === '' ? [] : [...(directives.get(name) ?? []), value])
  }
  return directives
}

/** Lines without comments; one that ends in a backslash goes on with the next, over comments between them. */
function logicalLines(text: string): string[] {
  const lines: string[] = []
  let begun = ''
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    if (/^[#;]/.test(line) || (line === '' && begun === '')) continue
    if (line.endsWith('\\')) {
      begun += `${line.slice(0, -1)} `
      continue
    }
    lines.push((begun + line).trim())
    begun = ''
  }
  return lines
}

/** Directives whose words are a set: their order means nothing, and several lines are one. */
const SETS = new Set([
  'After',
  'AmbientCapabilities',
  'Before',
  'BindPaths',
  'BindReadOnlyPaths',
  'BindsTo',
  'CapabilityBoundingSet',
  'InaccessiblePaths',
  'IPAddressAllow',
  'IPAddressDeny',
  'OnFailure',
  'PartOf',
  'ReadOnlyPaths',
  'ReadWritePaths',
  'Requires',
  'RestartPreventExitStatus',
  'RestrictAddressFamilies',
  'TemporaryFileSystem',
  'SupplementaryGroups',
  'WantedBy',
  'Wants',
])

/** A directive that a unit has to have, as `Section.Key`, its value, and why. Lines of a value count one by one. */
export type Wanted = readonly [name: string, value: string, why: string]

/** What a value says, in one form. */
function normal(name: string, lines: readonly string[]): string {
  const key = name.slice(name.indexOf('.') + 1)
  if (!SETS.has(key)) return lines.map(line => line.replace(/\s+/g, ' ')).join('\n')
  const words = lines.flatMap(line => line.split(/\s+/)).filter(Boolean)
  return [...new Set(words)].sort().join(' ')
}

/** What a unit says, in one form: "Section.Key" and its value. */
const valuesOf = (unit: UnitFile): Map<string, string> =>
  new Map([...unit].map(([name, lines]) => [name, normal(name, lines)]))

/** How a unit differs from what is wanted of it, a sentence each. A directive that nobody wants is one as well. */
export function differences(unit: UnitFile, wanted: readonly Wanted[]): string[] {
  const values = valuesOf(unit)
  const known = new Set(wanted.map(([name]) => name))
  const wrong = wanted.flatMap(([name, value, why]) => {
    const there = values.get(name)
    const should = normal(name, value.split('\n'))
    if (there === undefined) return [`${name}=${value} is missing: ${why}`]
    return there === should
      ? []
      : [`${name} is ${JSON.stringify(there)}, not ${JSON.stringify(should)}: ${why}`]
  })
  const extra = [...values].filter(([name]) => !known.has(name))
  return [...wrong, ...extra.map(([name, value]) => `${name}=${value} has no reason in the list`)]
}
