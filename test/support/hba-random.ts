import { choices, type Random } from './random.ts'

const BLANKS = [' ', ' ', ' ', '\t', '  ', ' \\\n ', '\r', ', ', ' ,', ' #', '\\\n'] as const
const TYPES = choices('local  local  host  host  host  hostssl  hostnossl  hostgssenc  "local"  lokal')
const NAMES = choices(`
  all  a  b  "a"  "all"  +g  "+g"  a,b  a, b  sameuser  replication  /^a  "/a b"  /(  /a,b  ""  a"b  a""b  "a""b"
  @  @none  a,  é  a#b  "a#b"`)
const ADDRESSES = choices(`
  all  samehost  127.0.0.1/32  10.0.0.0/8  ::1/128  localhost  .example.com  1.2.3.4  1.2.3.4 255.255.255.0
  ::1 ffff::  ::1 255.0.0.0  1.2.3.4/33  127.1/8  a/8  "all"  1.2.3.4/x`)
const METHODS = choices(`
  trust  trust  reject  md5  peer  ident  scram-sha-256  cert  password  trusted  "trust"  radius  trust,reject`)
const OPTIONS = choices(
  'map=a  "map=a b"  map=a,map=b  clientcert=verify-ca  clientname=DN  x=y  map  trust  #',
)

/** Lines of access rules, more than half of which PostgreSQL does not take. */
export function randomRules(random: Random, count: number): string {
  const line = (): string => {
    if (random.once(30)) return random.pick(['', '# comment', '   ', '# more \\', '"', '\\', ','])
    const parts = [random.pick(TYPES), random.pick(NAMES), random.pick(NAMES)]
    if (parts[0] !== 'local' || random.once(20)) parts.push(random.pick(ADDRESSES))
    parts.push(random.pick(METHODS), ...random.many(0, 1, () => random.pick(OPTIONS)))
    if (random.once(20)) parts.splice(random.below(parts.length), 1)
    return parts.join(random.once(5) ? random.pick(BLANKS) : ' ')
  }
  return random.many(count, count, line).join('\n')
}
