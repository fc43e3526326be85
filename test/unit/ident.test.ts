import t from 'tap'
import { mapAccount, parseIdent } from '../../lib/server/access/ident.ts'
import { memoryFiles } from '../support/memory-files.ts'

const parse = (text: string, major = 16) => parseIdent('/ident', memoryFiles({ '/ident': text }), major)

const isMember = (role: string, group: string): boolean =>
  role === group || (role === 'alice' && group === 'staff')

t.test('the map of a clinic', async t => {
  const { lines, errors } = parse(`# map account role
superuser_map root postgres
superuser_map /^(.*)$ "\\1"
`)
  t.strictSame(errors, [])
  t.strictSame(lines, [
    {
      ...{ file: '/ident', line: 2, map: 'superuser_map' },
      account: { text: 'root', quoted: false },
      role: { text: 'postgres', quoted: false },
    },
    {
      ...{ file: '/ident', line: 3, map: 'superuser_map' },
      account: { text: '/^(.*)$', quoted: false },
      role: { text: '\\1', quoted: true },
    },
  ])
  for (const [account, role, allowed] of [
    ['root', 'postgres', true],
    ['root', 'root', true],
    ['admin', 'admin', true],
    ['admin', 'postgres', false],
    ['postgres', 'Postgres', false],
  ] as const) {
    t.equal(mapAccount(lines, 'superuser_map', account, role, isMember, 16), allowed, `${account} as ${role}`)
    t.equal(mapAccount(lines, 'other', account, role, isMember, 16), false, 'another map')
    t.equal(mapAccount(lines, '', account, role, isMember, 16), account === role, 'no map')
  }
})

t.test('what is refused', async t => {
  for (const [line, message] of [
    ['m', 'missing entry at end of line'],
    ['m a', 'missing entry at end of line'],
    ['m a b,c', 'multiple values in ident field'],
    ['m,n a b', 'multiple values in ident field'],
    ['m /( b', 'invalid regular expression "(": parentheses () not balanced'],
    ['m a /[', 'invalid regular expression "[": brackets [] not balanced'],
  ] as const) {
    const errors = [{ file: '/ident', line: 1, message }]
    t.strictSame(parse(line).errors, errors, line)
    t.strictSame(parse(line, 15).errors, line.endsWith('[') ? [] : errors, `${line}, before 16`)
  }
  t.strictSame(parse('# nothing\n'), { lines: [], errors: [] })
  t.strictSame(parse('m a b and more').errors, [])
})

/** Lines of the map m, an account, a role, and whether it may: from 16, and before. */
t.test('who may log in as whom', async t => {
  for (const [lines, account, role, from16, before] of [
    ['m a b', 'a', 'b', true, true],
    ['m a b', 'A', 'b', false, false],
    ['m a all', 'a', 'anybody', true, false],
    ['m a "all"', 'a', 'anybody', false, false],
    ['m a "all"', 'a', 'all', true, true],
    ['m all b', 'anybody', 'b', false, false],
    ['m a +staff', 'a', 'alice', true, false],
    ['m a +staff', 'a', 'bob', false, false],
    ['m a "+staff"', 'a', '+staff', true, true],
    ['m a /^b', 'a', 'bob', true, false],
    ['m a \\1', 'a', 'a', false, false],
    ['m /a b', 'xax', 'b', true, true],
    ['m /^a$ b', 'xax', 'b', false, false],
    ['m /^(.*)@clinic$ \\1', 'eve@clinic', 'eve', true, true],
    ['m /^(.*)@clinic$ \\1', 'eve@elsewhere', 'eve', false, false],
    ['m /^(.*)@clinic$ x\\1y', 'eve@clinic', 'xevey', true, true],
    ['m /^(.)$ \\1\\1', 'a', 'a\\1', true, true],
    ['m /^(a|ab)(c|bcd)?$ \\1', 'abcd', 'a', true, true],
    ['m /^(adm|admin).*$ \\1', 'administrator', 'admin', true, true],
    ['m /^(a)?$|^x$ \\1\nm x x', 'x', 'x', false, false],
    ['m /^(a)?$|^x$ b\nm x x', 'x', 'x', true, true],
    ['m /^(all)$ \\1', 'all', 'anybody', false, false],
    ['m /^(.*)$ +\\1', 'staff', 'alice', false, false],
    ['m /^(.*)$ +\\1', 'staff', '+staff', false, true],
    ['m a b\nm a c', 'a', 'c', true, true],
    ['n a b', 'a', 'b', false, false],
  ] as const) {
    for (const [major, allowed] of [
      [18, from16],
      [16, from16],
      [15, before],
      [14, before],
    ] as const) {
      const parsed = parse(lines, major)
      t.strictSame(parsed.errors, [])
      t.equal(
        mapAccount(parsed.lines, 'm', account, role, isMember, major),
        allowed,
        `${major}: ${lines}, ${account} as ${role}`,
      )
    }
  }
})
