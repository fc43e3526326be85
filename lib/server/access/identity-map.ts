import type pg from 'pg'
import type { Manifest } from '../../frame/terms.ts'
import { ask } from '../session.ts'
import { literal } from '../sql.ts'
import { bytes, members, relation, roleWord } from './decide.ts'
import type { AccessFiles } from './inspect.ts'
import { type Rewrite, splitBlock, toText, withBlock } from './placement.ts'
import { renderMappings } from './render.ts'
import { asMappings, type Mapping } from './rules.ts'

/** How an identity map as it is differs from the declared one. */
type MapDrift = {
  readonly rewrite: Rewrite
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missing: readonly string[]
  /** The mappings of the file as it should be, in the order in which they count. */
  readonly mappings: readonly Mapping[]
}

const keyOf = ({ map, account, role }: Mapping): string => JSON.stringify([map, account.text, role.text])

/** Compares an identity map with the declared mappings. Lines that somebody else has put there do as well. */
export function diffMap(declared: Manifest['ident'], { ident, mappings }: AccessFiles): MapDrift {
  const split = splitBlock(toText(ident.bytes))
  const has = new Set(mappings.map(keyOf))
  const wanted = asMappings(declared, ident.path)
  const missing = wanted.filter(mapping => !has.has(keyOf(mapping)))
  const ours = split.block !== undefined || missing.length > 0 ? wanted : []
  const isOurs = ({ file, line }: Mapping): boolean => file === ident.path && split.lines.has(line)
  const first = mappings.findIndex(isOurs)
  const place = first < 0 ? mappings.length : first
  return {
    rewrite: withBlock(ident, split, ours.length === 0 ? [] : renderMappings(declared), split.at),
    missing: missing.flatMap(({ line }) => renderMappings(declared.slice(line - 1, line))),
    mappings: [
      ...mappings.slice(0, place),
      ...ours,
      ...mappings.slice(place).filter(mapping => !isOurs(mapping)),
    ],
  }
}

/**
 * What each line of a map says about an account and a role, in order (check_ident_usermap() in hba.c). Whether a pattern
 * captures anything is seen by one more, empty pair of parentheses.
 */
const mapping = (lines: string, account: string, role: string): string => `
  WITH RECURSIVE line AS MATERIALIZED (${lines}), ${members(role)},
  matched AS (
    SELECT id, kind, role, matches, p.capture
      FROM line CROSS JOIN LATERAL (
        SELECT CASE WHEN line.regex THEN ${bytes(account)} ~ ${bytes('line.account')} ELSE line.account = ${account} END AS matches,
               CASE WHEN line.kind = 'capture' AND cardinality(regexp_match(${bytes(account)}, ${bytes("line.account || '()'")})) > 1
                    THEN regexp_substr(${bytes(account)}, ${bytes('line.account')}, 1, 1, '', 1) END AS capture) AS p)
  SELECT said FROM matched CROSS JOIN LATERAL (
    SELECT CASE kind
        WHEN 'a' THEN true
        WHEN '=' THEN role = ${role}
        WHEN '~' THEN ${bytes(role)} ~ ${bytes('role')}
        WHEN '+' THEN EXISTS (SELECT FROM member AS m WHERE m.role = ${role} AND m.above = matched.role)
        WHEN 'capture' THEN left(${bytes('role')}, strpos(${bytes('role')}, '\\1') - 1) || capture
                            || substr(${bytes('role')}, strpos(${bytes('role')}, '\\1') + 2) = ${bytes(role)} END) AS answer(said)
   WHERE matches AND (said IS NULL OR said) ORDER BY id LIMIT 1`

/**
 * Asks PostgreSQL whether an account that the system vouches for may log in as a role by a map, or with '' by none
 * (check_usermap() in hba.c), for methods that keep upper and lower case apart: all but gss and sspi. The first line
 * that fits decides; one that asks for what its regular expression did not capture ends the search.
 *
 * @param client a superuser's session
 * @param limit milliseconds
 */
export async function askMap(
  client: pg.Client,
  limit: number,
  major: number,
  lines: readonly Mapping[],
  { map, account, role }: { readonly map: string; readonly account: string; readonly role: string },
): Promise<boolean> {
  if (map === '') return account === role
  const given = lines
    .filter(line => line.map === map)
    .map((line, id) => {
      // An account could be a regular expression long before a role could.
      const regex = line.account.text.startsWith('/')
      const word = major >= 16 ? roleWord(line.role, major) : `=${line.role.text}`
      const captures = regex && word.startsWith('=') && word.includes('\\1')
      return {
        id,
        regex,
        account: line.account.text.slice(regex ? 1 : 0),
        kind: captures ? 'capture' : word[0],
        role: word.slice(1),
      }
    })
  const lineColumns = 'id int, regex bool, account text, kind text, role text'
  const query = mapping(relation(given, lineColumns), `${literal(account)}::text`, `${literal(role)}::text`)
  const [[row] = []] = await ask(client, query, limit, 'ask PostgreSQL which access rule decides')
  return row?.['said'] === true
}
