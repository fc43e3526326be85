import { networkInterfaces } from 'node:os'
import type { LoginAttempt } from '../../lib/server/access/decide.ts'
import { choices, type Random } from './random.ts'

/** Roles, and the groups that they are members of. */
export const CREATE_ROLES = `
CREATE ROLE staff; CREATE ROLE managers; CREATE ROLE "all"; GRANT staff TO managers;
CREATE ROLE alice LOGIN; GRANT staff TO alice;
CREATE ROLE bob LOGIN;
CREATE ROLE carol LOGIN NOINHERIT; GRANT managers TO carol;
CREATE ROLE boss LOGIN SUPERUSER;
CREATE ROLE "a b" LOGIN; GRANT "all" TO "a b";
CREATE ROLE "Älice" LOGIN; GRANT staff TO "Älice"`

/** This host's addresses. */
const INTERFACES = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])

/** From where, and to which of this host's addresses. */
type Way = { readonly host: string; readonly from: string }

const IPV4: Way = { host: '127.0.0.1', from: '127.0.0.1' }
const IPV6: Way = { host: '::1', from: '::1' }
const WAYS: readonly [Way, ...Way[]] = [
  ...([IPV4, IPV4, IPV6, IPV6] as const),
  // All of 127.0.0.0/8 is this host.
  { host: '127.0.0.1', from: '127.0.0.2' },
  { host: '127.0.0.1', from: '127.99.0.3' },
  ...INTERFACES.filter(({ internal, address }) => !internal && !address.startsWith('fe80')).map(
    ({ address }) => ({ host: address, from: address }),
  ),
]

const ROLES = choices('alice  alice  bob  carol  boss  nobody  a b  Älice  all  +staff')
const DATABASES = choices('alice  bob  carol  staff  shared  all  replication  sameuser  a b  /x')

/** An attempt, and how to make it. */
export type Trial = { readonly attempt: LoginAttempt; readonly host: string }

export function randomTrial(random: Random, named: boolean, tls: boolean): Trial {
  const session = {
    role: random.pick(ROLES),
    database: random.pick(DATABASES),
    replication: random.once(8),
  }
  if (random.once(3)) return { attempt: { ...session, type: 'local' }, host: '' }
  // Whether another address has a name is up to this machine's resolver, which may take its time.
  const { host, from } = random.pick(named ? [IPV4, IPV6] : WAYS)
  return { attempt: { ...session, type: 'host', address: from, ssl: tls && random.once(4) }, host }
}

const TYPES = choices(`
  local  local  local  host  host  host  host  host  hostssl  hostnossl  hostgssenc  hostnogssenc`)
const ROLE_TOKENS = choices(String.raw`
  all  "all"  alice  bob  carol  nobody  "a b"  Älice  Alice  +staff  +staff  +managers  "+staff"  +alice
  +nobody  +boss  +"all"  +  /^[ab]  /li  "/^a b$"  /^..lice$  /^.lice$  /^(al|car)  /(?i)^ALICE$  /e$
  /^\+  /^(?!b)`)
const DATABASE_TOKENS = choices(`
  all  "all"  sameuser  "sameuser"  samerole  samegroup  replication  replication  "replication"  alice  staff
  shared  carol  /x  +staff  All  /^s  /a  /^all$  "/^a b$"  /^[^s]  /[[:<:]]b  /^.{5}$  /`)
const ADDRESSES = choices(`
  127.0.0.1/32  127.0.0.0/8  127.0.0.2/31  0.0.0.0/0  ::1/128  ::/0  samehost  samenet  ::ffff:127.0.0.1/128
  127.0.0.3 255.0.0.255  127.1/32  192.0.2.0/24  fd00::/64  ::/1  127.0.0.1 0.0.0.1  10.0.0.0/8`)
const NAMES = choices(`
  localhost  LOCALHOST  .localhost  only4.test  .host  .  ocalhost  .ocalhost  "all"  "samehost"`)
const METHODS = choices('trust  reject  password  scram-sha-256')

/** Access rules that PostgreSQL takes, 4 to 16 of them; with `named` also for host names. */
export function randomRuleFile(random: Random, named: boolean): string {
  const tokens = (words: readonly [string, ...string[]]) =>
    random.once(3) ? 'all' : random.many(1, random.once(2) ? 4 : 1, () => random.pick(words)).join(',')
  const rule = () => {
    const type = random.pick(TYPES)
    const address = random.once(3) ? 'all' : random.pick(named && random.once(2) ? NAMES : ADDRESSES)
    const clients = type === 'local' ? [] : [address]
    return [type, tokens(DATABASE_TOKENS), tokens(ROLE_TOKENS), ...clients, random.pick(METHODS)].join(' ')
  }
  return `${random.many(4, 16, rule).join('\n')}\n`
}
