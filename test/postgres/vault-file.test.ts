import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { Host, needsRoot } from '../support/host.ts'
import { makeSocket } from '../support/socket-file.ts'

const verifier = async (host: Host): Promise<unknown> =>
  host.cluster.query("SELECT xmin::text, rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'")

/** What changes when a file is written, renamed, chowned or chmodded. */
function version(path: string): unknown {
  const { ino, ctimeMs, nlink } = statSync(path)
  return { ino, ctimeMs, nlink }
}

t.test('content that is refused: 78, and file and role stay as they are', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const before = await verifier(host)
  const contents: [name: string, bytes: string | Buffer, why: RegExp][] = [
    ['only white space', ' \n\t\r\n', /white space/],
    ['not UTF-8', Buffer.from([0x70, 0xff, 0x77]), /not valid UTF-8/],
    ['an encoded surrogate', Buffer.from([0x70, 0xed, 0xa0, 0x80, 0x77]), /not valid UTF-8/],
    ['a newline inside', 'correct\nhorse', /a second line/],
    ['NUL inside', 'correct\0horse', /control character U\+0000/],
    ['a C1 control inside', 'correct\u009bhorse', /control character U\+009B/],
    ['far too long', 'x'.repeat(70_000), /larger than/],
  ]
  for (const [name, bytes, why] of contents) {
    await t.test(name, async t => {
      writeFileSync(host.vaultFile, bytes)
      const stat = statSync(host.vaultFile)
      for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
        const result = await host.run(command)
        t.equal(result.code, 78, `${command}: ${result.err}`)
        t.match(result.json.error?.cause, why)
        t.notMatch(result.out + result.err, /horse/)
      }
      t.equal(Buffer.compare(readFileSync(host.vaultFile), Buffer.from(bytes)), 0)
      t.equal(statSync(host.vaultFile).mtimeMs, stat.mtimeMs)
      t.same(await verifier(host), before)
    })
  }
  for (const kind of ['folder', 'pipe', 'socket']) {
    await t.test(`a ${kind} in its place`, async t => {
      execFileSync('rm', ['-rf', host.vaultFile])
      if (kind === 'socket') makeSocket(host.vaultFile)
      else execFileSync(kind === 'pipe' ? 'mkfifo' : 'mkdir', [host.vaultFile])
      const result = await host.setup()
      t.equal(result.code, 78, result.err)
      t.match(result.json.error?.cause, new RegExp(`it is a ${kind}, not a regular file`))
    })
  }
})

t.test('a file of zero bytes counts as missing', async t => {
  const host = await Host.create(t)
  host.writeVault('')
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.match(readFileSync(host.vaultFile, 'utf8'), /^[A-Za-z0-9+/]{43}=\n$/)
  t.equal(statSync(host.vaultFile).mode & 0o7777, 0o640)
})

t.test('owner and mode are mended, and that is said', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  chmodSync(host.vaultFile, 0o644)
  chmodSync(host.vaultFolder, 0o777)
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.same(
    result.json.changes.map(({ resource }) => resource),
    [`vault folder ${host.vaultFolder}`, `vault file ${host.vaultFile}`],
  )
  t.match(result.json.changes[1]?.action, /0644 -> .* 0640; every account could read it/)
  t.equal(statSync(host.vaultFile).mode & 0o7777, 0o640)
  t.equal(statSync(host.vaultFolder).mode & 0o7777, 0o750)
})

t.test('a folder that the whole system uses is not taken over', async t => {
  const host = await Host.create(t)
  const shared = join(host.folder, 'shared')
  mkdirSync(shared)
  chmodSync(shared, 0o1777)
  const result = await host.run('postgres-endoreg-setup', [], {
    env: { ENDOREG_VAULT_FILE: join(shared, 'password') },
  })
  t.equal(result.code, 78, result.err)
  t.equal(statSync(shared).mode & 0o7777, 0o1777)
  t.notOk(existsSync(join(shared, 'password')))
})

t.test('a link is read, and never written, chowned or replaced', async t => {
  const host = await Host.create(t)
  const secrets = join(host.folder, 'run/secrets.d/1')
  mkdirSync(secrets, { recursive: true })
  symlinkSync('secrets.d/1', join(host.folder, 'run/secrets'))
  const target = join(secrets, 'db')
  writeFileSync(target, 'managed elsewhere\n', { mode: 0o400 })
  mkdirSync(host.vaultFolder, { recursive: true })
  symlinkSync(join(host.folder, 'run/secrets/db'), host.vaultFile)
  const before = version(target)
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.notOk(result.json.changes.some(({ resource }) => resource.startsWith('vault')))
  t.equal(readlinkSync(host.vaultFile), join(host.folder, 'run/secrets/db'))
  t.same(version(target), before)
  const sync = await host.sync()
  t.equal(sync.code, 0, sync.err)
  t.equal(readFileSync(host.copy, 'utf8'), 'managed elsewhere\n')

  await t.test('also where the folder is the link', async t => {
    const env = { ENDOREG_VAULT_FILE: join(host.folder, 'run/secrets/db') }
    const direct = await host.run('postgres-endoreg-setup', [], { env })
    t.equal(direct.code, 0, direct.err)
    t.same(direct.json.changes, [])
    t.same(version(target), before)
  })
  await t.test('without a file behind it', async t => {
    execFileSync('rm', [target])
    const dangling = await host.setup()
    t.equal(dangling.code, 78, dangling.err)
    t.match(dangling.json.error?.cause, /no file behind it/)
    t.notOk(existsSync(target))
  })
})

t.test('what another account planted gains it nothing', needsRoot, async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const admin = findAccount('admin')
  t.ok(admin)
  const treasure = join(host.folder, 'treasure')
  writeFileSync(treasure, 'for root only\n', { mode: 0o600 })
  const before = version(treasure)

  await t.test('a link of the vault owner is read with their rights', async t => {
    execFileSync('rm', [host.vaultFile])
    execFileSync('setpriv', [
      '--reuid',
      'admin',
      '--regid',
      'admin',
      '--clear-groups',
      'ln',
      '-s',
      treasure,
      host.vaultFile,
    ])
    const result = await host.sync()
    t.equal(result.code, 78, result.err)
    t.notOk(existsSync(host.copy))
    t.same(version(treasure), before)
  })
  await t.test('a second name of another file is not chowned', async t => {
    execFileSync('rm', ['-f', host.vaultFile])
    linkSync(treasure, host.vaultFile)
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.cause, /2 names/)
    t.equal(statSync(treasure).uid, 0)
    t.equal(statSync(treasure).mode & 0o7777, 0o600)
  })
  await t.test('a linked folder above it is not followed', async t => {
    const home = join(host.folder, 'admin-home')
    mkdirSync(home)
    chownSync(home, admin?.uid ?? 0, admin?.gid ?? 0)
    symlinkSync(join(host.folder, 'etc'), join(home, 'etc'))
    const env = { ENDOREG_VAULT_FILE: join(home, 'etc/vault/new') }
    const result = await host.run('postgres-endoreg-setup', [], { env })
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.cause, /is a link in a folder that admin/)
    t.notOk(existsSync(join(host.folder, 'etc/vault/new')))
  })
})

t.test('missing accounts', needsRoot, async t => {
  const host = await Host.create(t)
  const result = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_VAULT_GROUP: 'nosuchgroup' } })
  t.equal(result.code, 78)
  t.match(result.json.error, { message: /group nosuchgroup/, hint: /groupadd/ })
})

t.test('as another account, an owner that cannot be set is 77', needsRoot, async t => {
  const host = await Host.create(t)
  const own = join(host.folder, 'own')
  mkdirSync(own)
  const stranger = findAccount('stranger')
  chownSync(own, stranger?.uid ?? 0, stranger?.gid ?? 0)
  host.cluster.setRules(
    'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\nhost all postgres 127.0.0.1/32 trust',
  )
  await host.cluster.reload()
  const env = { ENDOREG_VAULT_FILE: join(own, 'vault/password') }
  const refused = await host.run('postgres-endoreg-setup', [], { env, as: 'stranger' })
  t.equal(refused.code, 77, refused.err)
  t.match(refused.json.error?.hint, /chown admin:sensitiveServices/)
  t.notOk(existsSync(env.ENDOREG_VAULT_FILE))
  const names = { ENDOREG_VAULT_OWNER: 'stranger', ENDOREG_VAULT_GROUP: 'stranger' }
  const allowed = await host.run('postgres-endoreg-setup', [], { env: { ...env, ...names }, as: 'stranger' })
  t.equal(allowed.code, 0, allowed.err)
  t.equal(lstatSync(env.ENDOREG_VAULT_FILE).uid, stranger?.uid)
})
