import * as v from 'valibot'
import { lastOfEach, lowerCase } from '../server/conf.ts'
import { asciiLower } from '../server/reload.ts'
import { ask, type Session } from '../server/session.ts'
import type { FileLine, Origin, Setting } from './terms.ts'

const optionalText = v.nullable(v.string())
const optionalNumber = v.nullable(v.number())

/** Settings that a look changes in its own session: what they are there is not what the server has. */
export const CHANGED = [
  'statement_timeout',
  'search_path',
  'standard_conforming_strings',
  'extra_float_digits',
  'exit_on_error',
] as const

const settingRow = v.object({
  name: v.string(),
  /** As SHOW writes it, with a unit. */
  value: optionalText,
  /** As a number of units. */
  setting: optionalText,
  unit: optionalText,
  source: v.string(),
  file: optionalText,
  line: optionalNumber,
  boot: optionalText,
  reset: optionalText,
  pending: v.boolean(),
})
type SettingRow = v.InferOutput<typeof settingRow>

const catalogRow = v.object({
  database: optionalText,
  role: optionalText,
  name: v.string(),
  value: v.string(),
  unit: optionalText,
})
type CatalogRow = v.InferOutput<typeof catalogRow>

/**
 * The settings of this session that are not from PostgreSQL itself, and those of databases and roles. Where the files
 * have been asked for before, also what was changed in the files and not loaded yet counts as waiting for a restart.
 */
export async function askSettings(
  client: Session,
  limit: number,
): Promise<{ readonly settings: readonly SettingRow[]; readonly catalog: readonly CatalogRow[] }> {
  const [settings, catalog] = await ask(
    client,
    `SELECT name, current_setting(name) AS value, setting, unit, source, sourcefile AS file, sourceline AS line,
            boot_val AS boot, reset_val AS reset, pending_restart AS pending
       FROM pg_settings WHERE source <> 'default' OR pending_restart;
     SELECT d.datname::text AS database, r.rolname::text AS role, split_part(item, '=', 1) AS name,
            substr(item, strpos(item, '=') + 1) AS value, s.unit
       FROM pg_db_role_setting AS c CROSS JOIN unnest(c.setconfig) AS item
       LEFT JOIN pg_database AS d ON d.oid = c.setdatabase
       LEFT JOIN pg_roles AS r ON r.oid = c.setrole
       LEFT JOIN pg_settings AS s ON ${asciiLower('s.name')} = ${asciiLower("split_part(item, '=', 1)")}
      ORDER BY d.datname NULLS FIRST, r.rolname NULLS FIRST, item`,
    limit,
    'read the settings',
  )
  return { settings: v.parse(v.array(settingRow), settings), catalog: v.parse(v.array(catalogRow), catalog) }
}

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

/** What it takes to tell the server's settings from those of our own session. */
type Known = {
  readonly session: { readonly database: string; readonly role: string }
  readonly catalog: readonly CatalogRow[]
  /** What the files set, as far as that is known. */
  readonly lines: readonly FileLine[]
}

/**
 * The settings of the server that are not the defaults, then those of databases and roles, in the order of their names.
 *
 * A session knows its own settings only. Where its role, its database or it itself has another one, what the
 * files say is the server's.
 */
export function effectiveSettings(rows: readonly SettingRow[], known: Known): Setting[] {
  const last = lastOfEach(known.lines)
  const settings = rows.flatMap(row => toSetting(row, last.get(lowerCase(row.name)), known) ?? [])
  const catalog = known.catalog.map(
    ({ name, value, unit, database, role }): Setting => ({
      name,
      value: withUnit(value, unit),
      origin: { kind: 'catalog', database, role },
      afterRestart: undefined,
    }),
  )
  // pg_settings has no custom options (manual, 19.16) that no extension has declared.
  const listed = new Set(rows.map(row => lowerCase(row.name)))
  const custom = [...last.values()].filter(
    ({ name, refused }) => name.includes('.') && !refused && !listed.has(lowerCase(name)),
  )
  return sorted([...settings, ...custom.map(fromLine), ...catalog])
}

export const fromLine = ({ name, value, file, line }: FileLine): Setting => ({
  name,
  value,
  origin: { kind: 'file', file, line },
  afterRestart: undefined,
})

/** In the order of the names; what has the same one stays in its order. */
export const sorted = (settings: readonly Setting[]): Setting[] =>
  [...settings].sort((one, other) => compare(lowerCase(one.name), lowerCase(other.name)))

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

function toSetting(row: SettingRow, line: FileLine | undefined, known: Known): Setting | undefined {
  const { name, unit, boot, pending } = row
  const current = serverWide(row, line, known)
  // A value that somebody has written down and that is the default is none that differs.
  if (!current || (!pending && (current.raw === boot || current.value === withUnit(boot ?? '', unit))))
    return undefined
  const next = pending ? withUnit(line?.value ?? boot ?? '', unit) : undefined
  return { name, value: current.value, origin: current.origin, afterRestart: next }
}

/** What a setting is for the whole server; undefined where that cannot be told from what our session has. */
function serverWide(
  row: SettingRow,
  line: FileLine | undefined,
  known: Known,
): { readonly value: string; readonly raw?: string | null; readonly origin: Origin } | undefined {
  const { name, setting, unit, source, reset, boot } = row
  const value = row.value ?? ''
  const inForce = line?.refused ? undefined : line
  const written = { kind: 'file', file: line?.file ?? null, line: line?.line ?? null } as const
  switch (source) {
    case 'configuration file': {
      const place = row.file === null ? written : { ...written, file: row.file, line: row.line }
      return { value, raw: setting, origin: place }
    }
    case 'command line':
      return { value, raw: setting, origin: { kind: 'command line' } }
    case 'environment variable':
      return { value, raw: setting, origin: { kind: 'environment' } }
    case 'default':
      return { value, raw: setting, origin: { kind: 'default' } }
    case 'override':
      // PostgreSQL has made an absolute path of it.
      return inForce && { value, raw: setting, origin: written }
    default:
      if (inForce) return { value: withUnit(inForce.value, unit), origin: written }
      if (!isOurs(name) || isCovered(name, known) || reset === boot) return undefined
      return { value: withUnit(reset ?? '', unit), raw: reset, origin: { kind: 'command line' } }
  }
}

const isOurs = (name: string): boolean => CHANGED.some(changed => changed === name)

/** Whether the role or the database of our session has a setting of its own. */
const isCovered = (name: string, { catalog, session }: Known): boolean =>
  catalog.some(
    row =>
      lowerCase(row.name) === name &&
      (row.database ?? session.database) === session.database &&
      (row.role ?? session.role) === session.role,
  )
