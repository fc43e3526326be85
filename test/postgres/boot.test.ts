import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount, findGroup } from '../../lib/host/accounts.ts'
import { asService } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'

t.test('the files of the API are installed, and a second run writes nothing', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const check = await host.boot(['--check'])
  t.equal(check.code, 1, check.err)
  t.notOk(existsSync(join(host.apiDir, 'conf')))
  const first = await host.boot()
  t.equal(first.code, 0, first.err)
  t.same(first.json.changes, check.json.changes)
  t.equal(readFileSync(host.copy, 'utf8'), readFileSync(host.vaultFile, 'utf8'))
  const stat = statSync(host.copy)
  t.equal(stat.mode & 0o7777, 0o600)
  t.equal(stat.uid, findAccount(host.env['ENDOREG_SERVICE_USER'] ?? 'endoreg-service-user')?.uid)
  t.equal(stat.gid, findGroup(host.env['ENDOREG_SERVICE_GROUP'] ?? 'endoreg-service')?.gid)
  t.equal(
    readFileSync(host.yaml, 'utf8'),
    [
      'engine: django.db.backends.postgresql',
      'name: endoregDbLocal',
      'user: endoregDbLocal',
      'host: localhost',
      `port: ${host.env['PGPORT']}`,
      `password_file: ${host.copy}`,
      '',
    ].join('\n'),
  )
  const installed = [host.copy, host.yaml, host.local, host.key]
  t.match(statSync(host.local), { mode: 0o100640, uid: stat.uid, gid: stat.gid })
  t.match(statSync(host.key), { mode: 0o100600, uid: stat.uid, gid: stat.gid })
  t.match(readFileSync(host.local, 'utf8'), new RegExp(`"PORT": "${host.env['PGPORT']}"`))
  t.notMatch(readFileSync(host.local, 'utf8'), host.vault())
  const before = installed.map(path => statSync(path).ctimeMs)
  const second = await host.boot()
  t.equal(second.code, 0, second.err)
  t.same(second.json.changes, [])
  t.same(
    installed.map(path => statSync(path).ctimeMs),
    before,
  )
})

t.test('an existing db.yaml keeps everything that is not managed', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  writeFileSync(
    host.yaml,
    `# by hand\nengine: django.db.backends.sqlite3 # old\nOPTIONS: { sslmode: "prefer" }\nhost: 'db.example'\nport: "5432"\npassword_file: conf/db_pwd\n`,
  )
  const result = await host.boot()
  t.equal(result.code, 0, result.err)
  t.match(result.json.changes, [{ action: 'correct engine, name, user, host, port' }])
  t.equal(
    readFileSync(host.yaml, 'utf8'),
    `# by hand\nengine: django.db.backends.postgresql # old\nOPTIONS: { sslmode: "prefer" }\nhost: localhost\nport: ${host.env['PGPORT']}\npassword_file: conf/db_pwd\nname: endoregDbLocal\nuser: endoregDbLocal\n`,
  )
  writeFileSync(host.yaml, 'engine: [unclosed\n')
  const refused = await host.boot()
  t.equal(refused.code, 78, refused.err)
  t.equal(readFileSync(host.yaml, 'utf8'), 'engine: [unclosed\n')
})

t.test('it waits until the login works', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  await host.cluster.stop()
  let launched = false
  const result = await host.boot([], {
    onError: text => {
      if (launched || !text.includes('waiting for the login')) return
      launched = true
      host.cluster.launch()
    },
  })
  t.equal(result.code, 0, result.err)
  t.ok(launched)
})

t.test('the password from systemd', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const credentials = join(host.folder, 'credentials')
  mkdirSync(credentials)
  writeFileSync(join(credentials, 'db_pwd'), readFileSync(host.vaultFile))
  rmSync(host.vaultFile)
  const env = { CREDENTIALS_DIRECTORY: credentials }
  const result = await host.boot([], { env })
  t.equal(result.code, 0, result.err)
  const without = await host.boot()
  t.equal(without.code, 78, without.err)
  t.match(without.json.error?.hint, /postgres-endoreg-setup/)
})

t.test('what is missing or wrong has its own words', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  await t.test('another password in PostgreSQL', async t => {
    await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'other'`)
    const result = await host.boot()
    t.equal(result.code, 77, result.err)
    t.match(result.json.error?.hint, /sync-password/)
    t.notOk(existsSync(host.copy))
  })
  await t.test("no membership in the vault's group", needsRoot, async t => {
    const result = await host.boot([], { withoutGroups: true })
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { cause: /not readable for endoreg-service-user/, hint: /namei -l/ })
  })
  await t.test('no service account', needsRoot, async t => {
    const result = await host.boot([], { env: { ENDOREG_SERVICE_USER: 'nobody-here' } })
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.hint, /useradd/)
  })
  await t.test('no checkout', async t => {
    rmSync(host.apiDir, { recursive: true })
    const result = await host.boot()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.hint, /git clone/)
  })
})

t.test('as root, the service account can plant what it likes', needsRoot, async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const conf = join(host.apiDir, 'conf')
  const victim = join(host.folder, 'victim')
  writeFileSync(victim, 'precious\n', { mode: 0o600 })
  const elsewhere = join(host.folder, 'elsewhere')
  mkdirSync(elsewhere, { mode: 0o700 })
  const untouched = (): void => {
    t.equal(readFileSync(victim, 'utf8'), 'precious\n')
    t.equal(statSync(victim).uid, 0)
    t.equal(statSync(victim).mode & 0o7777, 0o600)
    t.equal(statSync(elsewhere).uid, 0)
    t.notOk(existsSync(join(elsewhere, 'db_pwd')))
  }
  const plants: [name: string, script: string, codes: number[]][] = [
    ['db_pwd is a link to a file of root', `mkdir ${conf} && ln -s ${victim} ${conf}/db_pwd`, [0]],
    ['db_pwd is a dangling link', `mkdir ${conf} && ln -s ${elsewhere}/db_pwd ${conf}/db_pwd`, [0]],
    ['conf is a link to a folder of root', `ln -s ${elsewhere} ${conf}`, [78]],
    ['conf is a file', `touch ${conf}`, [78]],
    ['db_pwd is a folder', `mkdir -p ${conf}/db_pwd`, [78]],
    ['db_pwd is a pipe', `mkdir ${conf} && mkfifo ${conf}/db_pwd`, [0]],
    [
      'db_pwd is a socket',
      `mkdir ${conf} && cd ${conf} && perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "db_pwd", Listen => 1) or die'`,
      [0],
    ],
    ['conf may not be written', `mkdir ${conf} && chmod 0500 ${conf}`, [77]],
  ]
  for (const [name, script, codes] of plants) {
    await t.test(name, async t => {
      execFileSync('rm', ['-rf', conf])
      execFileSync(...asService(script))
      for (const result of [await host.sync(), await host.run('endo-api-boot')]) {
        t.ok(codes.includes(result.code ?? -1), `${result.code}: ${result.err}`)
      }
      untouched()
      if (codes.includes(0)) {
        t.ok(statSync(host.copy).isFile())
        t.equal(statSync(host.copy).uid, findAccount('endoreg-service-user')?.uid)
      }
    })
  }
  await t.test('the checkout itself is a link', async t => {
    rmSync(host.apiDir, { recursive: true })
    execFileSync(...asService(`ln -s ${elsewhere} ${host.apiDir}`))
    const result = await host.sync()
    t.equal(result.code, 78, result.err)
    untouched()
  })
  await t.test('a link that root made is followed', async t => {
    const real = join(host.folder, 'home/real')
    execFileSync(...asService(`mkdir ${real}`))
    rmSync(host.apiDir)
    symlinkSync(join(host.folder, 'home'), join(host.folder, 'by-root'))
    const result = await host.run('sync-password', [], {
      env: { ENDOREG_API_DIR: join(host.folder, 'by-root/real') },
    })
    t.equal(result.code, 0, result.err)
    t.equal(readFileSync(join(real, 'conf/db_pwd'), 'utf8'), readFileSync(host.vaultFile, 'utf8'))
  })
})
