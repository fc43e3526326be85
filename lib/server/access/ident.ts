import { type Fields, parseLines } from './lines.ts'
import { bytesOf, compileRegex } from './regex/compile.ts'
import type { Files, IdentLine, Parsed, Place, Surroundings, Token } from './terms.ts'
import { isGroup, isRegex, matchesRole, type Roles } from './token.ts'

/**
 * The lines of a pg_ident.conf and of all that it includes, and what PostgreSQL does not take in them
 * (parse_ident_line() in hba.c; manual, 20.2). With one error it loads none of them.
 *
 * Fails with a system error where the file itself cannot be read.
 */
export function parseIdent(path: string, files: Files, major: number): Parsed<IdentLine> {
  return parseLines(path, files, major, parseLine)
}

function parseLine(fields: Fields): Omit<IdentLine, keyof Place> {
  const value = () => fields.value('missing entry at end of line', 'multiple values in ident field')
  const map = value().text
  const account = value()
  const role = value()
  // An account could be a regular expression long before a role could.
  fields.check([account], 0)
  fields.check([role])
  return { map, account, role }
}

/**
 * Whether an account that the system vouches for may log in as `role` where the rule names `map`, or none
 * with '' (check_usermap() in hba.c). For methods that keep upper and lower case apart: all but gss and sspi.
 *
 * A line that asks for what its regular expression did not capture ends the search.
 */
export function mapAccount(
  lines: readonly IdentLine[],
  map: string,
  account: string,
  role: string,
  isMember: Surroundings['isMember'],
  major: number,
): boolean {
  if (map === '') return account === role
  for (const line of lines) {
    const verdict = line.map === map && checkLine(line, account, role, { isMember, major })
    if (verdict) return verdict === 'allowed'
  }
  return false
}

/** What a line says about an account and a role; false where it is not for them (check_ident_usermap()). */
function checkLine(
  line: IdentLine,
  account: string,
  role: string,
  roles: Roles,
): 'allowed' | 'error' | false {
  const { major } = roles
  const special = major >= 16 && (isGroup(line.role) || isRegex(line.role, major))
  if (!line.account.text.startsWith('/')) {
    return line.account.text === account && isFor(line.role, role, roles) && 'allowed'
  }
  const regex = compileRegex(line.account.text.slice(1))
  const found = 'match' in regex && regex.match(bytesOf(account))
  if (!found) return false
  if (special || !line.role.text.includes('\\1')) return isFor(line.role, role, roles) && 'allowed'
  const { group } = found
  if (group === undefined) return 'error'
  // The first alone is replaced, and the result is a plain name, whatever it begins with.
  return bytesOf(line.role.text).replace('\\1', () => group) === bytesOf(role) && 'allowed'
}

/** Before PostgreSQL 16 the role was always a plain name. */
const isFor = (token: Token, role: string, roles: Roles): boolean =>
  roles.major >= 16 ? matchesRole(token, role, roles) : token.text === role
