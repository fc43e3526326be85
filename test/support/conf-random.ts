import { choices, type Random } from './random.ts'

const NAMES = choices('a.b  a.b  a.b  x._y  work_mem  a  é.ü  a.b.c  1a')
const EQUALS = choices('=  =  =  =  =  ==')
const PIECES = choices(`
  1  64  MB  kB  on  x  é  .  -  _  /  '  ''  \\'  \\\\  \\n  \\303\\251  \\0  \\7  #  0x1F  1.5  ,  $
`)
const BLANKS = ['', '', '', ' ', ' ', '\t', '\r', '  '] as const

/** A line of settings, a half of which PostgreSQL does not understand. */
export function randomLine(random: Random): string {
  const blank = (): string => random.pick(BLANKS)
  const inner = random.many(0, 4, () => random.pick(PIECES)).join(random.once(6) ? ' ' : '')
  const value = random.once(2) ? `'${inner}'` : inner
  const equals = random.once(6) ? ' ' : `${blank()}${random.pick(EQUALS)}${blank()}`
  return `${blank()}${random.pick(NAMES)}${equals}${value}${blank()}${random.once(8) ? '# comment' : ''}`
}
