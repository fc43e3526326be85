import t from 'tap'
import type { AccessRule } from '../../lib/frame/terms.ts'
import { declaredLogins, usualPairs } from '../../lib/server/access/attempts.ts'
import { AS_SUPERUSER, conflicts } from '../../lib/server/access/conflicts.ts'
import { Fits, keyOf, type LoginAttempt } from '../../lib/server/access/decide.ts'
import { asRules, isAmong, type Rule } from '../../lib/server/access/rules.ts'
import { choices, Random } from '../support/random.ts'

type Attempt = LoginAttempt<string | null>

const role = (name: string) => ({
  name,
  login: true,
  replication: false,
  validUntil: null,
  connectionLimit: -1,
})

/** Which rules fit, of such as have one word in a field: a name, `all` or `sameuser`. */
function fitsOf(rules: readonly Rule[], attempts: readonly Attempt[]): Fits {
  const fits = ({ type, databases, roles, clients }: Rule, attempt: Attempt): boolean => {
    const [{ text: database = '' } = {}, { text: name = '' } = {}] = [databases[0], roles[0]]
    return (
      (database === 'all' ||
        (database === 'sameuser' ? attempt.database === attempt.role : database === attempt.database)) &&
      (name === 'all' || name === attempt.role) &&
      type === attempt.type &&
      (attempt.type === 'local' || isAmong(attempt.address, clients))
    )
  }
  return new Fits(new Map(attempts.map(one => [keyOf(one), rules.filter(rule => fits(rule, one))])))
}

/** What is asked about rules, and the conflicts, each once. */
function found(file: readonly Rule[], declared: readonly Rule[]) {
  const logins = declaredLogins(file, declared, usualPairs({ roles: [role('app')], databases: [] }))
  const asked = [AS_SUPERUSER, ...logins.attempts, ...logins.sides]
  const told = conflicts(fitsOf([...file, ...declared], asked), file, declared, logins)
  return { asked: asked.length, told: [...new Set(told.map(one => text(one.declared, one.decides)))].sort() }
}

const text = (declared: Rule, decides: Rule | undefined): string => `${declared.line} by ${decides?.line}`

const rule = (database: string, name: string, method: string, address?: string): AccessRule => ({
  type: address === undefined ? 'local' : 'host',
  database,
  role: name,
  method,
  ...(address === undefined ? {} : { address }),
})

t.test('the logins that are not asked about are decided as if they were', t => {
  const random = new Random(1)
  const [databases, names] = [
    choices('all  all  shop  app  stock  sameuser'),
    choices('all  all  app  eve  shop'),
  ]
  const some = (): AccessRule =>
    rule(random.pick(databases), random.pick(names), random.pick(['peer', 'peer', 'md5', 'reject']))
  let conflicting = 0
  for (let round = 0; round < 500; round++) {
    const file = asRules(random.many(1, 8, some), 'file')
    const declared = asRules(random.many(1, 3, some), 'declared')
    const known = (field: 'databases' | 'roles'): string[] => [
      ...new Set([...file, ...declared].flatMap(one => one[field].map(token => token.text))),
    ]
    const isNamed = ({ databases, roles }: Rule, attempt: Attempt): boolean => {
      const [database, name] = [databases[0]?.text, roles[0]?.text]
      const general = database === 'all' || database === 'sameuser'
      if (general && name === 'all') return false
      return (general || database === attempt.database) && (name === 'all' || name === attempt.role)
    }
    const every = [null, ...known('databases'), ...known('roles'), 'postgres', 'app'].flatMap(database =>
      [null, ...known('roles'), 'postgres', 'app'].map(
        (name): Attempt => ({ type: 'local', database, role: name }),
      ),
    )
    const usual = usualPairs({ roles: [role('app')], databases: [] })
    const logins = [
      ...every.filter(attempt => declared.some(one => isNamed(one, attempt))),
      ...(declared.some(
        one => one.roles[0]?.text === 'all' && /^(?:all|sameuser)$/.test(one.databases[0]?.text ?? ''),
      )
        ? usual.map((pair): Attempt => ({ type: 'local', ...pair }))
        : []),
    ]
    const fits = fitsOf([...file, ...declared], [AS_SUPERUSER, ...logins])
    const told = conflicts(fits, file, declared, { attempts: logins, sides: [] })
    conflicting += told.length > 0 ? 1 : 0
    const wanted = [...new Set(told.map(one => text(one.declared, one.decides)))].sort()
    t.same(found(file, declared).told, wanted, JSON.stringify([file, declared]))
  }
  t.ok(conflicting > 100, `${conflicting} with conflicts`)
  t.end()
})

t.test('what is asked grows with the rules, and not with their pairs', t => {
  const many = <T>(count: number, make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => make(i))
  const ADDRESS = '127.0.0.1/32'
  const kinds: Readonly<Record<string, (count: number) => readonly [AccessRule[], AccessRule[]]>> = {
    'declared for a role each, others for a database each': count => [
      many(count, index => rule(`d${index}`, 'all', 'reject', ADDRESS)),
      many(count, index => rule('all', `r${index}`, 'md5', ADDRESS)),
    ],
    'the other way round': count => [
      many(count, index => rule('all', `r${index}`, 'reject', ADDRESS)),
      many(count, index => rule(`d${index}`, 'all', 'md5', ADDRESS)),
    ],
    'both declared': count => [
      [],
      [
        ...many(count, index => rule('all', `r${index}`, 'md5', ADDRESS)),
        ...many(count, index => rule(`d${index}`, 'all', 'md5', ADDRESS)),
      ],
    ],
    'a database and an address each': count => [
      many(count, index => rule(`d${index}`, 'all', 'reject', `10.0.${index}.0/24`)),
      many(count, index => rule(`d${index}`, `r${index}`, 'md5', `10.0.${index}.0/24`)),
    ],
  }
  for (const [kind, make] of Object.entries(kinds)) {
    const [small, middle, large] = [50, 100, 150].map(count => {
      const [file, declared] = make(count)
      return found(asRules(file, 'file'), asRules(declared, 'declared'))
    })
    if (!small || !middle || !large) return
    t.ok(large.asked < 150 * 12, `${kind}: ${large.asked}`)
    t.equal(large.asked - middle.asked, middle.asked - small.asked, kind)
    t.equal(large.told.length - middle.told.length, middle.told.length - small.told.length, kind)
  }
  t.end()
})
