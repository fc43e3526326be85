import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { parseManifest } from '../../lib/provision/manifest.ts'
import { declaredRules, renderMappings, renderRules } from '../../lib/server/access/render.ts'
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
