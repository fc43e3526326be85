import { bytesOf, compileRegex } from './regex/compile.ts'
import type { Surroundings, Token } from './terms.ts'

/** What it takes to tell whether a token is for a role. */
export type Roles = Pick<Surroundings, 'isMember' | 'major'>

export const isKeyword = ({ text, quoted }: Token, keyword: string): boolean => !quoted && text === keyword

/** Whether it stands for a group's members. */
export const isGroup = ({ text, quoted }: Token): boolean => !quoted && text.startsWith('+')

/** Whether it is a regular expression, which quotes do not change. */
export const isRegex = ({ text }: Token, major: number): boolean => major >= 16 && text.startsWith('/')

/** Whether a token is this very name, or a regular expression that matches it. */
export function matchesName(token: Token, name: string, major: number): boolean {
  if (!isRegex(token, major)) return token.text === name
  const regex = compileRegex(token.text.slice(1))
  return 'match' in regex && regex.match(bytesOf(name)) !== undefined
}

/** Whether a token is for a role (check_role() in hba.c). */
export function matchesRole(token: Token, role: string, { isMember, major }: Roles): boolean {
  if (isGroup(token)) return isMember(role, token.text.slice(1))
  return isKeyword(token, 'all') || matchesName(token, role, major)
}
