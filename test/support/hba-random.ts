import type { Random } from './random.ts'

const BLANKS = [' ', ' ', ' ', '\t', '  ', ' \\\n ', '\r', ', ', ' ,', ' #', '\\\n'] as const
const TYPES = [
  'local',
  'local',
  'host',
  'host',
  'host',
  'hostssl',
  'hostnossl',
  'hostgssenc',
  '"local"',
  'lokal',
] as const
const NAMES = [
  ...(['all', 'a', 'b', '"a"', '"all"', '+g', '"+g"', 'a,b', 'a, b', 'sameuser', 'replication'] as const),
  ...([
    '/^a',
    '"/a b"',
    '/(',
    '/a,b',
    '""',
    'a"b',
    'a""b',
    '"a""b"',
    '@',
    '@none',
    'a,',
    'é',
    'a#b',
    '"a#b"',
  ] as const),
] as const
const ADDRESSES = [
  ...([
    'all',
    'samehost',
    '127.0.0.1/32',
    '10.0.0.0/8',
    '::1/128',
    'localhost',
    '.example.com',
    '1.2.3.4',
  ] as const),
  ...([
    '1.2.3.4 255.255.255.0',
    '::1 ffff::',
    '::1 255.0.0.0',
    '1.2.3.4/33',
    '127.1/8',
    'a/8',
    '"all"',
    '1.2.3.4/x',
  ] as const),
] as const
const METHODS = [
  ...([
    'trust',
    'trust',
    'reject',
    'md5',
    'peer',
    'ident',
    'scram-sha-256',
    'cert',
    'password',
    'trusted',
  ] as const),
  ...(['"trust"', 'radius', 'trust,reject'] as const),
] as const
const OPTIONS = [
  'map=a',
  '"map=a b"',
  'map=a,map=b',
  'clientcert=verify-ca',
  'clientname=DN',
  'x=y',
  'map',
  'trust',
  '#',
] as const

/** Lines of access rules, more than half of which PostgreSQL does not take. */
export function randomRules(random: Random, count: number): string {
  const line = (): string => {
    if (random.once(30)) return random.pick(['', '# comment', '   ', '# more \\', '"', '\\', ','])
    const parts: string[] = [random.pick(TYPES), random.pick(NAMES), random.pick(NAMES)]
    if (parts[0] !== 'local' || random.once(20)) parts.push(random.pick(ADDRESSES))
    parts.push(random.pick(METHODS), ...random.many(0, 1, () => random.pick(OPTIONS)))
    if (random.once(20)) parts.splice(random.below(parts.length), 1)
    return parts.join(random.once(5) ? random.pick(BLANKS) : ' ')
  }
  return random.many(count, count, line).join('\n')
}
