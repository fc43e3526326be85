import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  rmSync,
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
  t.match(result.json.error?.cause, /pg_hba\.conf has an error.*line 5: /)
  t.equal(read(host), `${OWN}${EVERYBODY}host all all nonsense\n`)
})

t.test('rules that PostgreSQL does not take are taken back before they are loaded', async t => {
  // This build of PostgreSQL has no PAM authentication, which the manifest cannot know.
  const hba = [...shipped.hba, { type: 'host', database: 'x', role: 'x', address: 'loopback', method: 'pam' }]
  const host = await hostWith(t, `${OWN}${EVERYBODY}`, { hba })
  const result = await host.setup()
  t.equal(result.code, 78, result.err)
  t.match(result.json.error?.cause, /would have an error .*as it was again: line \d+: .*pam/)
  t.equal(read(host), `${OWN}${EVERYBODY}`)
})

t.test('a declared regular expression that is none ends the setup, and it says so', async t => {
  for (const [database, role] of [
    ['/^(a', 'x'],
    ['x', '/a{2,1}'],
  ]) {
    const hba = [
      ...shipped.hba,
      { type: 'host', database, role, address: 'loopback', method: 'scram-sha-256' },
    ]
    const host = await hostWith(t, `${OWN}${EVERYBODY}`, { hba })
    const [row] = await host.cluster.query('SHOW server_version_num')
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    if (Number(row?.['server_version_num']) < 160_000) {
      t.match(
        result.json.error?.cause,
        /PostgreSQL 15 takes this for a mere name, .*: hba\.6\.(?:database|role): /,
      )
      t.same(result.json.changes, [])
      const found = await host.run('debug-postgres')
      t.match(found.err, /error manifest-unusable .*: PostgreSQL 15 takes this for a mere name/)
      continue
    }
    t.match(result.json.error?.message, /ask PostgreSQL which access rule decides/)
    t.match(result.json.error?.cause, /invalid regular expression: /)
    t.match(result.json.error?.hint, /Correct the regular expression in the manifest/)
    t.equal(read(host), `${OWN}${EVERYBODY}`)
  }
})

t.test('a list in a field is one, and a name with a comma in quotes a name', needsRoot, async t => {
  const rule = { type: 'host', address: '127.0.0.1/32', method: 'scram-sha-256' }
  const hba = [
    { ...rule, database: 'shop, stock', role: 'eve,+staff' },
    { ...rule, database: '"a,b"', role: 'all' },
    ...shipped.hba,
  ]
  const site = ['stock eve', 'a eve', '"a,b" bob'].map(who => `host ${who} 127.0.0.1/32 reject\n`)
  const host = await hostWith(t, `${OWN}${site.join('')}${EVERYBODY}`, { hba })
  await host.cluster.query('CREATE ROLE staff')
  const first = await host.setup()
  t.equal(first.code, 0, first.err)
  t.match(read(host), /\nhost +shop,stock +eve,\+staff +127\.0\.0\.1\/32 +scram-sha-256\nhost +"a,b" +all /)
  t.match(
    first.err,
    /whoever "host shop,stock eve,\+staff .*" is declared for is decided .* no longer by line 3 of /,
  )
  t.match(first.err, /the role eve in the database a from .* no longer by line 4 of /)
  t.match(first.err, /whoever "host "a,b" all .*" is declared for.* no longer by line 5 of /)
  t.same((await host.setup()).json.changes, [])
  t.notMatch((await host.run('debug-postgres')).err, /rules-differ/)
})

t.test('a rule for a database and one for a role meet', async t => {
  const hba = [
    ...shipped.hba,
    ...['x', 'y'].map(role => ({
      type: 'host',
      database: 'all',
      role,
      address: '127.0.0.1/32',
      method: 'md5',
    })),
  ]
  const site = 'host all x 127.0.0.1/32 md5\nhost all y 127.0.0.1/32 md5\nhost shop all 127.0.0.1/32 reject\n'
  const host = await hostWith(t, `${OWN}${site}`, { hba: [...hba].reverse() })
  t.equal((await host.setup()).code, 0)
  t.ok(read(host).startsWith(`${OWN}${site}# BEGIN`), 'where the role comes first, nothing is taken')
  const other = await hostWith(t, `${OWN}${site.split('\n').reverse().join('\n')}`, {
    hba: [...hba].reverse(),
  })
  t.equal((await other.setup()).code, 0)
  t.match(read(other), /^host all postgres.*\nlocal all postgres.*\n\n?# BEGIN/)
})

t.test('a file that PostgreSQL may not read is named', needsRoot, async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  chownSync(path(host), 0, 0)
  chmodSync(path(host), 0o600)
  const result = await host.setup()
  t.equal(result.code, 77, result.err)
  t.equal(result.json.error?.message, 'cannot read the access rules')
  t.match(
    result.json.error?.cause,
    /could not open (?:configuration )?file ".*pg_hba\.conf".*: Permission denied/,
  )
})

t.test('a file that is newer than what is loaded is loaded', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await host.setup()
  chmodSync(path(host), 0o600)
  const check = await host.setup('--check')
  t.same(
    check.json.changes.map(({ action }) => action),
    ['reload (newer than what was loaded)'],
  )
})

t.test('nor does a setting that waits for a restart hide it', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  host.cluster.configure({ max_connections: '61' })
  await host.cluster.reload()
  const first = await host.setup()
  t.equal(first.code, 0, first.err)
  t.notMatch(first.err, /does not take its configuration/)
  chmodSync(path(host), 0o600)
  t.same(
    (await host.setup('--check')).json.changes.map(({ action }) => action),
    ['reload (newer than what was loaded)'],
  )
})

t.test('what counts is when a file was changed, and not the time that it was given', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await host.setup()
  // A copy may keep the time of its original (cp -p), and that may be of another clock.
  for (const time of ['2020-01-01', '2099-01-01']) {
    utimesSync(path(host), new Date(time), new Date(time))
    t.match((await host.setup()).json.changes, [{ action: 'reload (newer than what was loaded)' }], time)
    t.same((await host.setup()).json.changes, [], `${time}, once it is loaded`)
  }
})

t.test('what a file of somebody else has wrong is found before it is loaded', async t => {
  for (const name of ['pg_hba.conf', 'pg_ident.conf']) {
    const host = await hostWith(t, `${OWN}${EVERYBODY}`)
    await host.setup()
    const file = join(host.cluster.data, name)
    writeFileSync(file, `${readFileSync(file, 'utf8')}nonsense\n`)
    for (const _ of [1, 2]) {
      const result = await host.setup()
      t.equal(result.code, 78, result.err)
      t.match(result.json.error?.cause, new RegExp(`${name} has an error.*would not even start: line \\d+: `))
    }
  }
})

t.test('declared lines that PostgreSQL does not take, left by a killed run, are taken out', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  await host.setup()
  const right = read(host)
  put(host, right.replace('# END endoreg', 'host all all ::1/128 pam\n# END endoreg'))
  const hba = [
    ...shipped.hba,
    { type: 'host', database: 'all', role: 'all', address: '::1/128', method: 'pam' },
  ]
  writeFileSync(join(host.folder, 'manifest.json'), JSON.stringify({ ...shipped, hba }))
  // The text that this manifest makes, as a run leaves it that is killed right after writing it.
  const killed = await host.setup()
  t.equal(killed.code, 78, killed.err)
  t.notMatch(read(host), /pam/)
})

t.test('a rule that is loaded and can match nothing is no error', async t => {
  const host = await hostWith(t, `${OWN}hostssl all monitor 10.0.0.0/8 scram-sha-256\n${EVERYBODY}`)
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.match(read(host), /BEGIN/)
})

t.test('what changes for logins that are not declared is said', needsRoot, async t => {
  const site = 'local all postgres peer\nhost all eve 127.0.0.1/32 reject\nlocal shop shop scram-sha-256\n'
  const host = await hostWith(t, `${site}${EVERYBODY}`)
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.match(
    result.err,
    /the role eve in the database postgres from 127\.0\.0\.1 and 1 other login is decided .*\(scram-sha-256\), no longer by line 2 of \S+ \(host all eve 127\.0\.0\.1\/32 reject\)/,
  )
  t.match(
    result.err,
    /the role shop in the database shop through the socket .*\(peer map=superuser_map\), no longer by line 3 /,
  )
})

t.test(
  'a login that only a rule of the host names is told before a declared rule for all decides it',
  needsRoot,
  async t => {
    const site = 'local hrdb all reject\nlocal all postgres peer\n'
    const host = await hostWith(t, `${site}${EVERYBODY}`)
    const result = await host.setup()
    t.equal(result.code, 0, result.err)
    t.match(
      result.err,
      /the role postgres in the database hrdb through the socket\) is decided .*\(peer map=superuser_map\), no longer by line 1 of .* reject\)/,
    )
  },
)

t.test('each rule of a person that the declared ones come before is named once', needsRoot, async t => {
  const site = [
    'local all postgres peer map=superuser_map',
    'host all endoregDbLocal 10.0.0.0/8 reject',
    'host endoregDbLocal all 127.0.0.1/32 reject',
    'host all all 127.0.0.1/32 md5',
    'host all all ::1/128 reject',
    'local all all ident',
  ]
  const host = await hostWith(t, OWN.replace(/^local.*\n/m, ''))
  put(host, `${OWN}${site.join('\n')}\n`)
  await host.cluster.reload()
  const check = await host.setup('--check')
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  for (const { err } of [check, result]) {
    const lines = err.split('\n').filter(line => line.includes('no longer by line '))
    t.same(lines.map(line => Number(/no longer by line (\d+) of/.exec(line)?.[1])).sort(), [5, 6, 7, 8], err)
    t.match(
      err,
      /whoever "host all all ::1\/128 scram-sha-256" is declared for.*line 7 of \S+ \(host all all ::1\/128 reject\)/,
    )
  }
  t.notMatch((await host.setup()).err, /no longer by/, 'and not again')
})

t.test('rules that would lock the setup out are not written', needsRoot, async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`, { ident: [] })
  put(host, `host all postgres 127.0.0.1/32 scram-sha-256\nlocal all postgres peer\n${EVERYBODY}`)
  writeFileSync(join(host.cluster.data, 'pg_ident.conf'), '')
  await host.cluster.reload()
  const result = await host.setup()
  t.equal(result.code, 78, result.err)
  t.match(result.json.error?.cause, /postgres could not log in as postgres any more/)
  t.notMatch(read(host), /BEGIN/)
})

t.test('no pg_ident.conf is as good as an empty one', needsRoot, async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`)
  put(host, `host all postgres 127.0.0.1/32 scram-sha-256\nlocal all postgres peer\n${EVERYBODY}`)
  rmSync(join(host.cluster.data, 'pg_ident.conf'))
  await host.cluster.reload()
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.equal(statSync(join(host.cluster.data, 'pg_ident.conf')).mode & 0o777, 0o640)
})

t.test('the remote administrator has rules', async t => {
  const host = await hostWith(t, `${OWN}${EVERYBODY}`, { remoteAdministrator: '172.16.255.106' })
  t.equal((await host.setup()).code, 0)
  t.match(read(host), /host +all +postgres +172\.16\.255\.106\/32 +scram-sha-256\n# END/)
})

t.test('where the files are not ours to write, they are compared', async t => {
  const own = EVERYBODY.replaceAll('all all', 'all endoregDbLocal')
  const host = await hostWith(t, `${OWN}${own}`)
  const compared = { env: { ENDOREG_MANAGE_HBA: '' } }
  await t.test('by default outside of Debian’s layout', async t => {
    for (const _ of [1, 2]) {
      const result = await host.run('postgres-endoreg-setup', [], compared)
      t.equal(result.code, 0, result.err)
      const [said = '', ...more] = result.err.split('\n').filter(line => line.includes(': access rules '))
      t.same(more, [], 'one line at each run')
      t.match(
        said,
        /not as declared, and not written .*: \d+ lines: .*; and \d+ more\. What to do: put the lines/,
      )
      t.match(said, /"local sameuser all peer map=superuser_map" is missing/)
      t.match(said, /pg_hba\.conf at the end, and reload; or set ENDOREG_MANAGE_HBA=write$/)
    }
    const { err } = await host.run('postgres-endoreg-setup', [], compared)
    t.match(
      err,
      /: nothing to change; the access rules differ and are not written; endoregDbLocal logs in at /,
    )
    t.notMatch(err, /converged/)
  })
  await t.test('which is drift, and a finding', async t => {
    const check = await host.run('postgres-endoreg-setup', ['--check'], compared)
    t.equal(check.code, 1, check.err)
    t.same(check.json.changes, [])
    t.match(check.json.checks, [{ name: `access rules ${path(host)}`, ok: false }])
    t.match(check.err, /^postgres-endoreg-setup: {3}host +devUser +devUser +::1\/128 +scram-sha-256$/m)
    const found = await host.run('debug-postgres', [], compared)
    t.match(
      found.err,
      /warning rules-differ \(\S+pg_hba\.conf\): \d+ declared lines are not in force, and the setup/,
    )
    t.match(found.err, /; "host replication replUser ::1\/128 scram-sha-256" is missing/)
    t.match(
      found.err,
      /remedy: put the lines that postgres-endoreg-setup --check lists into .* or set ENDOREG_/,
    )
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
    t.match(result.err, /not written \(.*linked\.conf is a link\)/)
    t.equal(readFileSync(elsewhere, 'utf8'), `${OWN}${EVERYBODY}`)
    t.notOk(existsSync(`${linked}.endoreg-before`))
  })
})
