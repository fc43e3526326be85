import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import shipped from '../../units/manifest.json' with { type: 'json' }
import { Host, needsRoot, runner } from '../support/host.ts'

/** Debian's own file, as its packages make it, comments shortened. */
const DEBIAN = `# PostgreSQL Client Authentication Configuration File
# Caf\xe9, a byte that is no UTF-8
local   replication     replicator                              trust

# DO NOT DISABLE!
# Database administrative login by Unix domain socket
local   all             postgres                                peer

# TYPE  DATABASE        USER            ADDRESS                 METHOD
local   all             all                                     peer\r
host    all             all             127.0.0.1/32            scram-sha-256
host    replication     all             127.0.0.1/32            \\
        scram-sha-256
# the end, without a newline`

const BLOCK = /# BEGIN endoreg-provision[^\n]*\n(?:[^#][^\n]*\n)*# END endoreg-provision\n/

async function hostWith(t: Test, rules: string, manifest: object = {}): Promise<Host> {
  const host = await Host.create(t)
  host.env['ENDOREG_MANAGE_HBA'] = 'write'
  host.env['ENDOREG_MANIFEST'] = join(host.folder, 'manifest.json')
  writeFileSync(host.env['ENDOREG_MANIFEST'], JSON.stringify({ ...shipped, ...manifest }))
  put(host, rules)
  await host.cluster.reload()
  return host
}

const path = (host: Host): string => join(host.cluster.data, 'pg_hba.conf')
const read = (host: Host): string => readFileSync(path(host), 'latin1')
const put = (host: Host, text: string): void => {
  const { uid, gid } = runner()
  writeFileSync(path(host), text, 'latin1')
  chownSync(path(host), uid, gid)
  chmodSync(path(host), 0o640)
}
/** What the setup and the test's own superuser need; it decides nothing otherwise than declared. */
const OWN = 'host all postgres 127.0.0.1/32 scram-sha-256\nlocal all postgres peer map=superuser_map\n'
const EVERYBODY = 'host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n'

t.test(
  "the rules go into Debian's own file as one block, where the first match needs them",
  needsRoot,
  async t => {
    const host = await hostWith(t, DEBIAN)
    const check = await host.setup('--check')
    t.equal(check.code, 1, check.err)
    t.match(check.err, /would change access rules .*: install 10 rules above line 5/)
    t.equal(read(host), DEBIAN)

    const first = await host.setup()
    t.equal(first.code, 0, first.err)
    t.match(first.err, /access rules .*: install 10 rules above line 5\n.*access rules .*: reload\n/)
    const text = read(host)
    t.equal(text.replace(BLOCK, ''), DEBIAN)
    t.match(text, /trust\n\n# BEGIN[\s\S]*# END endoreg-provision\n# DO NOT DISABLE!\n/)
    t.match(text, /\nhost +endoregDbLocal +endoregDbLocal +::1\/128 +scram-sha-256\n/)
    const { uid, gid, mode } = statSync(path(host))
    t.same([uid, gid, mode & 0o777], [runner().uid, runner().gid, 0o640])
    t.equal(readFileSync(`${path(host)}.endoreg-before`, 'latin1'), DEBIAN)

    const before = statSync(path(host)).mtimeMs
    const second = await host.setup()
    t.equal(second.code, 0, second.err)
    t.same(second.json.changes, [])
    t.equal(statSync(path(host)).mtimeMs, before)
  },
)

t.test(
  'a rule that rejects ::1 is not in the way any more, and one for other logins stays first',
  async t => {
    const site = '# for the monitoring\nhost monitoring monitor 127.0.0.1/32 md5\n'
    const host = await hostWith(t, `${OWN}${site}host all all ::1/128 reject\n${EVERYBODY}`)
    t.equal((await host.setup()).code, 0)
    t.ok(read(host).startsWith(`${OWN}${site}# BEGIN`), read(host))
  },
)

t.test('what is changed inside the block is changed back, at its place', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await host.setup()
  const right = read(host)
  t.match(right, /# END endoreg-provision\n$/)
  put(host, right.replace(/host {2,}all +all +::1.*\n/, ''))
  const mended = await host.setup()
  t.equal(mended.code, 0, mended.err)
  t.equal(read(host), right)
  put(host, `host all all ::1/128 reject\n${right}`)
  await host.setup()
  t.match(read(host), /^# BEGIN[\s\S]*# END[^\n]*\nhost all all ::1\/128 reject\n/, 'above what shadows it')
})

t.test('the old trust for every local account stays, with a warning', async t => {
  const host = await hostWith(t, `local all postgres trust\n${EVERYBODY}`)
  for (const expected of [/BEGIN/, /BEGIN/]) {
    const result = await host.setup()
    t.equal(result.code, 0, result.err)
    t.match(result.err, /pg_hba\.conf line 1 says trust, so every account .* fix-postgres/)
    t.match(read(host), /^local all postgres trust\n/)
    t.match(read(host), expected)
  }
})

t.test('a file with an error of somebody else is left alone', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  put(host, `${OWN}${EVERYBODY}host all all nonsense\n`)
  const result = await host.setup()
  t.equal(result.code, 78, result.err)
  t.match(result.json.error?.cause, /it has an error.*line 5: /)
  t.equal(read(host), `${OWN}${EVERYBODY}host all all nonsense\n`)
})

t.test('rules that PostgreSQL does not take are taken back before they are loaded', async t => {
  // This build of PostgreSQL has no PAM authentication, which the manifest cannot know.
  const hba = [...shipped.hba, { type: 'host', database: 'x', role: 'x', address: 'loopback', method: 'pam' }]
  const host = await hostWith(t, `${OWN}${EVERYBODY}`, { hba })
  const result = await host.setup()
  t.equal(result.code, 78, result.err)
  t.match(result.json.error?.cause, /PostgreSQL does not take them \(line \d+: .*pam.*as it was again/)
  t.equal(read(host), `${OWN}${EVERYBODY}`)
})

t.test('a file that is newer than what is loaded is loaded', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await host.setup()
  const soon = new Date(Date.now() + 1000)
  utimesSync(path(host), soon, soon)
  const check = await host.setup('--check')
  t.same(
    check.json.changes.map(({ action }) => action),
    ['reload (the file was newer than what was loaded)'],
  )
})

t.test('the remote administrator has rules', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`, { remoteAdministrator: '172.16.255.106' })
  t.equal((await host.setup()).code, 0)
  t.match(read(host), /host +all +postgres +172\.16\.255\.106\/32 +scram-sha-256\n# END/)
})

t.test('where the files are not ours to write, they are compared', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await t.test('by default outside of Debian’s layout', async t => {
    const result = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_MANAGE_HBA: '' } })
    t.equal(result.code, 0, result.err)
    t.match(
      result.err,
      /not as declared, and not written .*"local sameuser all peer map=superuser_map" is missing/,
    )
    t.match(result.err, /put these lines into it at the end, and reload/)
    t.match(result.err, /^postgres-endoreg-setup: {3}host +devUser +devUser +::1\/128 +scram-sha-256$/m)
  })
  await t.test('a link', async t => {
    const elsewhere = join(host.folder, 'cluster', 'rules.conf')
    writeFileSync(elsewhere, `${OWN}${EVERYBODY}`)
    const linked = join(host.folder, 'cluster', 'linked.conf')
    symlinkSync(elsewhere, linked)
    host.cluster.configure({ hba_file: `'${linked}'` })
    await host.cluster.restart()
    const result = await host.setup()
    t.equal(result.code, 0, result.err)
    t.match(result.err, /not written \(it is a link\)/)
    t.equal(readFileSync(elsewhere, 'utf8'), `${OWN}${EVERYBODY}`)
    t.notOk(existsSync(`${linked}.endoreg-before`))
  })
})
