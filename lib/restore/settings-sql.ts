import type { Description, SavedDatabase } from '../backup/terms.ts'
import { identifier, literal } from '../postgres/quote.ts'

/** A setting of a database, or of a role in it. */
export type SavedSetting = SavedDatabase['settings'][number]

/** Settings whose value is stored as a list of quoted names (GUC_LIST_QUOTE; variable_is_guc_list_quote() of pg_dump). */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])
const ELEMENT = /\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)/y

/** The statement that gives `database` the setting: what is stored, not what would be made of it once more. */
export function settingSql(database: string, { role, name, value }: SavedSetting): string {
  const target =
    role === null
      ? `DATABASE ${identifier(database)}`
      : `ROLE ${identifier(role)} IN DATABASE ${identifier(database)}`
  return alterSql(target, name, value)
}

/** The statements after which all roles have the `settings` and no others (ALTER ROLE ALL, which pg_dumpall leaves out). */
export const settingsOfAll = (settings: NonNullable<Description['settings']>): string[] => [
  'ALTER ROLE ALL RESET ALL',
  ...settings.map(({ name, value }) => alterSql('ROLE ALL', name, value)),
]

function alterSql(target: string, name: string, value: string): string {
  const words = LISTS.has(name.toLowerCase()) ? splitList(value).map(literal) : [literal(value)]
  return `ALTER ${target} SET ${identifier(name)} TO ${words.join(', ') || "''"}`
}

/** The elements of a list as PostgreSQL stores it (SplitGUCList() of varlena.c). */
export function splitList(value: string): string[] {
  const elements: string[] = []
  ELEMENT.lastIndex = 0
  while (ELEMENT.lastIndex < value.length) {
    const found = ELEMENT.exec(value)
    // No list after all: PostgreSQL says what is wrong with it.
    if (!found) return [value]
    elements.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '')
  }
  return elements
}
