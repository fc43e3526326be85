import { GONE, isSecretName, scrubber, untilSecret } from '../frame/scrub.ts'
import { table, widthOf, wrap } from '../frame/table.ts'
import { written } from '../server/access/render.ts'
import { identifier } from '../server/sql.ts'
import type { Configuration, Mistake, Origin, Places, Rule, Setting } from './terms.ts'

/** A configuration for people, in lines of at most `width`. */
export function describe(found: Configuration, width: number | undefined): string {
  const { source, version, places, settings, mistakes, rules, maps } = found
  const asked = source === 'server'
  const section = (title: string, lines: readonly string[] | undefined): string[] => {
    const body = lines?.length === 0 ? ['none'] : (lines ?? ['not read'])
    return ['', ...(width === undefined ? [title] : wrap(title, width)), '', ...body]
  }
  return [
    ...section(
      asked ? `PostgreSQL ${version}` : `PostgreSQL ${version}, which was not asked: from its files`,
      table(undefined, placeRows(places), width),
    ).slice(1),
    ...section(
      asked ? 'Settings other than the default' : 'Settings in the files, the default or not',
      settingsTable(settings, width),
    ),
    ...(mistakes.length === 0
      ? []
      : section('Errors in the files', table(['WHERE', 'ERROR'], mistakes.map(mistakeRow), width))),
    ...section(
      'Access rules, in the order in which PostgreSQL takes them',
      rules && rulesTable(rules, width),
    ),
    ...section(
      'Identity maps',
      maps &&
        table(
          ['MAP', 'ACCOUNT', 'ROLE', 'WHERE'],
          maps.map(({ map, account, role, file, line }) => [map, account, role, `${file}:${line}`]),
          width,
        ),
    ),
  ].join('\n')
}

const placeRows = ({ data, settings, hba, ident }: Places): string[][] =>
  (
    [
      ['data', data],
      ['settings', settings],
      ['access rules', hba],
      ['identity maps', ident],
    ] as const
  ).flatMap(([what, path]) => (path === null ? [] : [[what, path]]))

function settingsTable(settings: readonly Setting[], width: number | undefined): string[] {
  const waits = settings.some(({ afterRestart }) => afterRestart !== undefined)
  return table(
    ['SETTING', 'VALUE', ...(waits ? ['AFTER A RESTART'] : []), 'FROM'],
    settings.map(({ name, value, afterRestart, origin }) => [
      name,
      shown(value),
      ...(waits ? [afterRestart === undefined ? '' : shown(afterRestart)] : []),
      from(origin),
    ]),
    width,
  )
}

/** A value in which blanks at the ends can be seen. */
const shown = (value: string): string => (/^$|^\s|\s$/.test(value) ? `'${value}'` : value)

/** Where a setting comes from, in words. */
export function from(origin: Origin): string {
  switch (origin.kind) {
    case 'file':
      return origin.file === null ? 'configuration file' : place(origin)
    case 'catalog': {
      const { database, role } = origin
      if (role === null)
        return database === null ? 'ALTER ROLE ALL' : `ALTER DATABASE ${identifier(database)}`
      return `ALTER ROLE ${identifier(role)}${database === null ? '' : ` IN DATABASE ${identifier(database)}`}`
    }
    default:
      return origin.kind
  }
}

const place = ({ file, line }: { readonly file: string | null; readonly line: number | null }): string =>
  [file ?? '', ...(line === null ? [] : [line])].join(':')

const mistakeRow = (mistake: Mistake): string[] => [
  mistake.file === null ? '' : place(mistake),
  mistake.message,
]

function rulesTable(rules: readonly Rule[], width: number | undefined): string[] {
  const rows = rules.map(({ type, databases, roles, address, method, options, ...where }) => [
    type,
    databases.join(','),
    roles.join(','),
    address ?? '',
    method,
    options.map(([name, value]) => written(`${name}=${value}`)).join(' '),
    place(where),
  ])
  const wide = table(['TYPE', 'DATABASE', 'ROLE', 'ADDRESS', 'METHOD', 'OPTIONS', 'WHERE'], rows, undefined)
  if (width === undefined || wide.every(line => widthOf(line) <= width)) return wide
  // As they stand in the file.
  const lines = rows.map(row => [row.slice(0, -1).filter(Boolean).join(' '), row.at(-1) ?? ''])
  return table(['RULE', 'WHERE'], lines, width)
}

/** A configuration as the document of --json has it. What could not be looked at is null, and `unseen` says why. */
export const toDocument = ({
  source,
  version,
  places,
  settings,
  mistakes,
  rules,
  maps,
  newer,
  unseen,
}: Configuration): Readonly<Record<string, unknown>> => ({
  source,
  version,
  places,
  settings: settings.map(({ afterRestart, ...setting }) => ({
    ...setting,
    pendingRestart: afterRestart !== undefined,
    ...(afterRestart === undefined ? {} : { afterRestart }),
  })),
  errors: mistakes,
  rules: rules?.map(rule => ({ ...rule, options: Object.fromEntries(rule.options) })) ?? null,
  maps: maps ?? null,
  newer,
  unseen,
})

/**
 * A configuration without secrets: what looks like one wherever it stands, all of what has the name of one, and
 * `secrets` themselves in every usual writing.
 */
export function masked(found: Configuration, secrets: readonly string[]): Configuration {
  const scrub = scrubber(secrets)
  const value = (name: string, text: string): string =>
    isSecretName(name) && text !== '' ? GONE : scrub(text)
  const setting = ({ name, value: text, afterRestart, origin }: Setting): Setting => ({
    name: scrub(name),
    value: value(name, text),
    origin,
    afterRestart: afterRestart === undefined ? undefined : value(name, afterRestart),
  })
  // A line of a file that PostgreSQL has not seen may have anything anywhere.
  const word = (text: string): string => scrub(untilSecret(text))
  const rule = (one: Rule): Rule => ({
    ...one,
    type: word(one.type),
    databases: one.databases.map(word),
    roles: one.roles.map(word),
    address: one.address === null ? null : word(one.address),
    method: word(one.method),
    options: one.options.map(([name, text]) => [name, value(name, text)]),
  })
  const mistake = (one: Mistake): Mistake => ({ ...one, message: scrub(withoutQuotation(one.message)) })
  return {
    ...found,
    settings: found.settings.map(setting),
    mistakes: found.mistakes.map(mistake),
    rules: found.rules?.map(rule),
    maps: found.maps?.map(one => ({
      ...one,
      map: word(one.map),
      account: word(one.account),
      role: word(one.role),
    })),
  }
}

/**
 * What PostgreSQL quotes of a line may be a secret that has come apart: `ldapbindpasswd= "x y"` is an option without a
 * value and a word that is none.
 */
const withoutQuotation = (message: string): string =>
  untilSecret(message)
    .replace(/^(authentication option not in name=value format): .*/s, '$1')
    .replace(/^(could not parse RADIUS secret list) .*/s, '$1')
