import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { parseManifest, refuseUnfit } from '../../lib/provision/manifest.ts'
import { readLines } from '../../lib/server/access/fields.ts'
import { declaredRules, renderMappings, renderRules } from '../../lib/server/access/render.ts'
import { asRules } from '../../lib/server/access/rules.ts'
import shipped from '../../units/manifest.json' with { type: 'json' }

const manifest = (more: object = {}) =>
  parseManifest({ ...shipped, ...more }, 'test', loadSettings({}, '/dev/null'))

t.test('the rules that ship, as lines', async t => {
  t.same(renderRules(declaredRules(manifest({ remoteAdministrator: '172.16.255.106' }))), [
    'local all            postgres                         peer map=superuser_map',
    'local sameuser       all                              peer map=superuser_map',
    'host  all            all            127.0.0.1/32      scram-sha-256',
    'host  all            all            ::1/128           scram-sha-256',
    'host  replication    replUser       127.0.0.1/32      scram-sha-256',
    'host  replication    replUser       ::1/128           scram-sha-256',
    'host  devUser        devUser        127.0.0.1/32      scram-sha-256',
    'host  devUser        devUser        ::1/128           scram-sha-256',
    'host  endoregDbLocal endoregDbLocal 127.0.0.1/32      scram-sha-256',
    'host  endoregDbLocal endoregDbLocal ::1/128           scram-sha-256',
    'host  all            all            172.16.255.106/32 scram-sha-256',
    'host  devUser        devUser        172.16.255.106/32 scram-sha-256',
    'host  all            postgres       172.16.255.106/32 scram-sha-256',
  ])
})

t.test('the identity map', async t => {
  t.same(renderMappings(manifest().ident), [
    'superuser_map root     postgres',
    'superuser_map root     replUser',
    'superuser_map admin    admin',
    'superuser_map admin    endoregClient',
    'superuser_map postgres postgres',
    'superuser_map /^(.*)$  \\1',
  ])
})

t.test('odd names are quoted', async t => {
  const rule = { type: 'host', address: 'loopback', method: 'trust' } as const
  t.same(renderRules([{ ...rule, address: '::1/128', database: 'a b', role: '+c"d' }]), [
    'host "a b" +"c""d" ::1/128 trust',
  ])
})

t.test('fields are lists as in pg_hba.conf, and a name in quotes is a name', async t => {
  const fields: Readonly<Record<string, string>> = {
    'a,b': 'a,b',
    'a , two words': 'a,"two words"',
    '"a,b"': '"a,b"',
    '"a,b",all,"all"': '"a,b",all,"all"',
    '"a ""b""",+staff,+two words': '"a ""b""",+staff,+"two words"',
    'a "quoted" one': '"a ""quoted"" one"',
    '"@admins",me@EXAMPLE': '"@admins","me@EXAMPLE"',
    '/^(a|b){1,2}$': '"/^(a|b){1,2}$"',
    'x,/^lx_,/^y': 'x,/^lx_,/^y',
    'sameuser,replication': 'sameuser,replication',
  }
  const rule = { type: 'host', address: '::1/128', method: 'scram-sha-256' } as const
  for (const [said, line] of Object.entries(fields)) {
    const { hba } = manifest({ hba: [{ ...rule, database: said, role: said }] })
    t.same(renderRules(hba), [`host ${line} ${line} ::1/128 scram-sha-256`], said)
    // What is compared with PostgreSQL's own view is what PostgreSQL will read.
    const [read] = readLines(renderRules(hba).join('\n'))
    const [declared] = asRules(hba, '')
    t.same(
      declared?.databases,
      read?.fields[1]?.map((token, index) => ({
        ...token,
        // A regular expression and a name with blanks mean the same with quotes and without.
        quoted: declared?.databases[index]?.quoted,
      })),
      said,
    )
  }
})

t.test('lists that are none, and files of names, are refused with the form to use', async t => {
  const rule = { type: 'host', address: '::1/128', method: 'scram-sha-256', database: 'all', role: 'all' }
  const refused = (hba: object, reason: RegExp): void => {
    t.throws(() => manifest({ hba: [{ ...rule, ...hba }] }), { code: 78, reason })
  }
  for (const role of ['a,', ',a', 'a,,b', ' ', '""']) refused({ role }, /^hba\.0\.role: has an empty part/)
  refused(
    { database: 'x,@admins' },
    /^hba\.0\.database: "@admins" would be a file of names.*a name: "\\"@admins\\""\)$/,
  )
  for (const role of ['"/app"', 'a,"/^b,c$"'])
    refused({ role }, /^hba\.0\.role: "\/\S+" begins with \/, so that access rules take it for a regular/)
  refused({ role: `a,${'x'.repeat(64)}` }, /^hba\.0\.role: "x+" is longer than the 63 bytes/)
  for (const [key, value] of [
    ['account', 'root,admin'],
    ['role', 'a,b'],
  ] as const) {
    const ident = [{ map: 'm', account: 'root', role: 'postgres', [key]: value }]
    t.throws(() => manifest({ ident }), {
      code: 78,
      reason: new RegExp(`^ident\\.0\\.${key}: an identity map has one ${key} in a line; write one for each`),
    })
  }
  t.throws(() => manifest({ ident: [{ map: 'm', account: 'x', role: '"/x"' }] }), {
    code: 78,
    reason: /begins with/,
  })
  t.throws(() => manifest({ ident: [{ map: 'm', account: '@x', role: 'postgres' }] }), { code: 78 })
  t.same(renderMappings(manifest({ ident: [{ map: 'a,b', account: '"a,b"', role: '/^(x,y)$' }] }).ident), [
    '"a,b" "a,b" "/^(x,y)$"',
  ])
})

t.test('what is a mere name to an older server is refused for it, and no other', async t => {
  const settings = loadSettings({}, '/dev/null')
  const rule = { type: 'host', address: '::1/128', method: 'scram-sha-256', database: 'all', role: 'all' }
  const ident = [
    { map: 'm', account: '/^(.*)$', role: '\\1' },
    { map: 'm', account: 'root', role: '"all"' },
  ]
  const fit = manifest({ hba: [{ ...rule, role: '+staff,eve' }], ident })
  const unfit = manifest({
    hba: [rule, { ...rule, database: 'x,/^lx_' }],
    ident: [...ident, { map: 'm', account: 'root', role: '+staff' }],
  })
  for (const major of [15, 16]) refuseUnfit(fit, settings, major)
  refuseUnfit(unfit, settings, 16)
  t.throws(() => refuseUnfit(unfit, settings, 15), {
    code: 78,
    reason:
      /^PostgreSQL 15 takes this for a mere name, .*: hba\.1\.database: "x,\/\^lx_"; ident\.2\.role: "\+staff"$/,
  })
})

t.test('what PostgreSQL would not take is refused with its place', async t => {
  const hba = [
    ...shipped.hba,
    { type: 'host', database: 'x', role: 'x', address: '300.1.1.1/32', method: 'md5' },
  ]
  t.throws(() => manifest({ hba }), { code: 78, reason: /^hba\.6: / })
  t.throws(() => manifest({ hba: [{ type: 'local', database: 'x', role: 'x', method: 'scram' }] }), {
    code: 78,
    reason: /hba\.0: .*scram/,
  })
  for (const address of ['all trust #', '10.0.0.0 255.0.0.0', 'fe80::1%eth0/64']) {
    const rule = { type: 'host', database: 'x', role: 'x', address, method: 'reject' }
    t.throws(() => manifest({ hba: [rule] }), { code: 78, reason: /^hba\.0\.address: / }, address)
  }
  t.throws(() => manifest({ remoteAdministrator: 'gc-10' }), {
    code: 78,
    reason: 'remoteAdministrator: is no IP address',
  })
})
