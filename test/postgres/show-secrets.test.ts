import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SCRAM_RULES } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { settingsOf, show, showText } from '../support/shown.ts'

/** In every secret that is planted; the parts are what a mask that ends too early would leave. */
const PARTS = ['pl4nted', 's3cond', 'th1rd'] as const
const WORD = 'pl4nted,s3cond;th1rd'
/** As it stands between quotes in a file of settings. */
const quoted = (value: string): string => `'${value.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`

/** Settings with a secret in them, each in another way, and what has to be left of them. */
const SETTINGS: readonly (readonly [name: string, value: string, left: RegExp])[] = [
  [
    'primary_conninfo',
    `host=x user=y password=${WORD} port=1`,
    /^host=x user=y password=\[removed\] port=1$/,
  ],
  [
    'app.conninfo',
    `host=x password='pl4nted \\'s3cond th1rd' port=1`,
    /^host=x password=\[removed\] port=1$/,
  ],
  [
    'app.uri',
    'postgresql://me:pl4nted@s3cond/th1rd@host/db?sslmode=require',
    /\[removed\]host\/db\?sslmode=require$/,
  ],
  [
    'app.query',
    'postgresql://host/db?password=pl4nted%20s3cond&x=th1rd',
    /^postgresql:\/\/host\/db\?password=\[removed\]/,
  ],
  ['ssl_passphrase_command', 'echo pl4nted s3cond; th1rd', /^\[removed\]$/],
  ['archive_command', `PGPASSWORD='pl4nted s3cond'"th1rd" tool %p`, /^PGPASSWORD=\[removed\] tool %p$/],
  [
    'restore_command',
    'curl -u me:pl4nteds3condth1rd https://x:pl4nted@example.org/%f',
    /^curl -u me:\[removed\] https:\/\/\[removed\]example\.org\/%f$/,
  ],
  [
    'archive_cleanup_command',
    'tool --password "pl4nted s3cond" --key-file /k --token=th1rd',
    /^tool --password \[removed\] --key-file \/k --token=\[removed\]$/,
  ],
  ['app.api_key', 'pl4nted s3cond th1rd', /^\[removed\]$/],
  ['app.verifier', 'SCRAM-SHA-256$4096:pl4nted==$s3cond=:th1rd=', /^\[removed\]$/],
  [
    'app.key',
    '-----BEGIN PRIVATE KEY-----\npl4nted\ns3cond\nth1rd\n-----END PRIVATE KEY-----',
    /\[removed\]-----END/,
  ],
]

const OPEN = `${SCRAM_RULES}
host all all 10.0.0.1/32 ldap ldapserver=x ldapbasedn=y ldapbindpasswd="pl4nted s3cond ""th1rd"
host all all 10.0.0.2/32 radius radiusservers=127.0.0.1 radiussecrets="""pl4nted,s3cond th1rd"""
host all all 10.0.0.3/32 ldap ldapurl="ldap://me:pl4nted@s3cond/th1rd@host/dc=x"
`
/** Lines that PostgreSQL does not take, and quotes in its errors. */
const BROKEN = `
host all all 10.0.0.4/32 ldap ldapserver=x ldapbindpasswd= "pl4nted s3cond th1rd"
host all all 10.0.0.5/32 radius radiusservers=127.0.0.1 radiussecrets="pl4nted s3cond,th1rd"
host all all 10.0.0.6/32 radius radiussecrets=pl4nted,s3cond,th1rd
host all all 10.0.0.7/32 "ldapbindpasswd=pl4nted s3cond th1rd"
host all all 10.0.0.8/32 ldap ldapurl="x://me:pl4nted@s3cond/th1rd@host"
`

t.test('no secret is shown, wherever it was planted', async t => {
  const host = await Host.create(t, { start: false })
  const { cluster } = host
  host.env['ENDOREG_PG_DATA'] = cluster.data
  host.env['PATH'] = `${host.env['PATH']}:${process.env['TEST_POSTGRES_BIN']}`
  const settings = SETTINGS.map(
    ([name, value]) => `${name} = ${quoted(value).replaceAll('\n', '\\n')}\n`,
  ).join('')
  appendFileSync(join(cluster.data, 'postgresql.conf'), settings)
  cluster.configure({ archive_mode: 'on' })
  await cluster.start()
  const setup = await host.setup()
  t.equal(setup.code, 0, setup.err)
  const vault = host.vault()
  // The very password, where nothing says that it is one.
  appendFileSync(join(cluster.data, 'postgresql.conf'), `app.note = 'see ${vault} there'\n`)
  await cluster.query('CREATE ROLE planted')
  for (const statement of [
    `ALTER ROLE planted SET app.password = '${WORD}'`,
    `ALTER ROLE planted SET app.conninfo = 'password=${WORD} x=1'`,
    `ALTER DATABASE postgres SET app.secret TO '${WORD}'`,
    `ALTER ROLE planted IN DATABASE postgres SET app.note = '${Buffer.from(vault).toString('base64')}'`,
  ]) {
    await cluster.query(statement)
  }
  cluster.setRules(OPEN)
  await cluster.reload()

  const clean = (what: string, ...texts: readonly string[]): void => {
    for (const part of [...PARTS, vault, Buffer.from(vault).toString('base64').slice(2, -4)]) {
      t.notOk(
        texts.some(text => text.includes(part)),
        `${what}: ${part}`,
      )
    }
  }
  const everywhere = async (what: string): Promise<void> => {
    const { out, err } = await show(host)
    clean(`${what}, JSON`, out, err)
    for (const columns of [undefined, 30, 80, 400]) {
      const text = await showText(host, columns)
      clean(`${what}, ${columns} columns`, text.out, text.err, text.out.replace(/\s+/g, ''))
    }
  }
  await t.test('by a server that is up', async t => {
    const { shown } = await show(host)
    for (const [name, , left] of SETTINGS) t.match(settingsOf(shown, name)[0]?.value, left, name)
    t.match(settingsOf(shown, 'app.note')[0]?.value, /^see \[removed\] there$/)
    t.strictSame(
      settingsOf(shown, 'app.password').map(({ value }) => value),
      ['[removed]'],
    )
    t.strictSame(
      settingsOf(shown, 'app.secret').map(({ value }) => value),
      ['[removed]'],
    )
    await everywhere('up')
  })
  await t.test('by the rules, and by errors in the files', async t => {
    cluster.setRules(OPEN + BROKEN)
    appendFileSync(
      join(cluster.data, 'postgresql.conf'),
      `primary_coninfo = ${quoted(`host=x password=${WORD}`)}\napi_token = 'pl4nted s3cond th1rd'\nport = 'pl4nted`,
    )
    const { code, shown } = await show(host)
    t.equal(code, 1)
    t.ok(shown.errors.filter(error => error.in === 'rules').length >= 5)
    await everywhere('broken')
  })
  await t.test('by the files of a server that is down', async t => {
    await cluster.stop()
    const { shown } = await show(host)
    t.equal(shown.source, 'files')
    for (const [name, , left] of SETTINGS) t.match(settingsOf(shown, name)[0]?.value, left, name)
    const [ldap, radius] = (shown.rules ?? []).filter(
      ({ method }) => method === 'ldap' || method === 'radius',
    )
    t.match(ldap?.options, { ldapserver: 'x', ldapbindpasswd: '[removed]' })
    t.match(radius?.options, { radiusservers: '127.0.0.1', radiussecrets: '[removed]' })
    await everywhere('down')
  })
  await t.test('nor by a failure', async t => {
    const none = await show(host, { env: { ENDOREG_PG_DATA: '/none' } })
    t.equal(none.code, 75)
    clean('failure', none.out, none.err)
  })
})
