import {
  appendFileSync,
  chownSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { buildVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { SUPERUSER_PASSWORD } from '../support/cluster.ts'
import { Host, needsRoot } from '../support/host.ts'
import { proxy } from '../support/proxy.ts'

async function converged(t: Test): Promise<Host> {
  const host = await Host.create(t)
  for (const result of [await host.setup(), await host.boot()]) t.equal(result.code, 0, result.err)
  return host
}

const copied = (host: Host): string => readFileSync(host.copy, 'utf8').trim()
const tidy = (t: Test, host: Host): void => {
  t.same(readdirSync(host.vaultFolder), ['SCRT_password'])
  t.same(readdirSync(join(host.apiDir, 'conf')).sort(), ['db.yaml', 'db_pwd', 'secret_key'])
}

/** Everything agrees, and a run finds nothing to do. */
async function agrees(t: Test, host: Host): Promise<void> {
  const again = await host.sync()
  t.equal(again.code, 0, again.err)
  t.same(again.json.changes, [])
  t.equal(copied(host), host.vault())
  tidy(t, host)
}

t.test('a rotation replaces the password in all three places', async t => {
  const host = await converged(t)
  const old = host.vault()
  const before = statSync(host.vaultFile)
  const check = await host.sync('--rotate', '--check')
  t.equal(check.code, 1, check.err)
  t.match(check.json.changes, [
    { resource: 'role endoregDbLocal', action: 'set password (rotated)' },
    { resource: /^vault file/ },
    { resource: /db_pwd$/ },
  ])
  t.equal(host.vault(), old)

  const yaml = readFileSync(host.yaml, 'utf8')
  appendFileSync(host.yaml, `password: ${old}\n`)
  const rotated = await host.sync('--rotate', '--no-restart')
  t.equal(rotated.code, 0, rotated.err)
  t.equal(rotated.json.changes.length, 3)
  t.match(rotated.err, /conf\/db\.yaml holds a password in plain.*stays the old one/)
  t.equal(readFileSync(host.yaml, 'utf8'), `${yaml}password: ${old}\n`)
  writeFileSync(host.yaml, yaml)
  t.match(rotated.err, /would have failed for \d+ ms/)
  t.comment(`figure: ${/a new login.*/.exec(rotated.err)?.[0]}`)
  t.match(host.vault(), /^[A-Za-z0-9+/]{43}=$/)
  t.not(host.vault(), old)
  const after = statSync(host.vaultFile)
  t.same([after.uid, after.gid, after.mode, after.nlink], [before.uid, before.gid, before.mode, 1])
  await agrees(t, host)
  for (const text of [rotated.out, rotated.err]) t.notOk(text.includes(host.vault()) || text.includes(old))
})

t.test('only sync-password rotates', async t => {
  const host = await Host.create(t, { start: false })
  const { code, err } = await host.setup('--rotate')
  t.equal(code, 64)
  t.match(err, /--rotate/)
})

t.test('a rotation that was interrupted is finished or undone', async t => {
  const host = await converged(t)
  const stage = `${host.vaultFile}.next`
  const put = (password: string): void => {
    const { uid, gid } = statSync(host.vaultFile)
    writeFileSync(stage, `${password}\n`, { mode: 0o640 })
    chownSync(stage, uid, gid)
  }
  const alter = async (password: string): Promise<void> => {
    const verifier = await buildVerifier(await ScramPassword.from(new Password(password)), 4096)
    await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD '${verifier}'`)
  }
  for (const command of ['sync-password', 'postgres-endoreg-setup']) {
    await t.test(`${command}: before PostgreSQL had the new one`, async t => {
      const old = host.vault()
      put('staged')
      const result = await host.run(command)
      t.equal(result.code, 0, result.err)
      t.match(result.err, /undo an interrupted rotation/)
      t.equal(host.vault(), old)
      await agrees(t, host)
    })
    await t.test(`${command}: after PostgreSQL had it`, async t => {
      put('staged')
      await alter('staged')
      const check = await host.run(command, ['--check'])
      t.equal(check.code, 1, check.err)
      const result = await host.run(command)
      t.equal(result.code, 0, result.err)
      t.match(result.err, /finish an interrupted rotation/)
      t.equal(host.vault(), 'staged')
      if (command === 'postgres-endoreg-setup') {
        t.not(copied(host), 'staged')
        t.match(result.err, /db_pwd may still hold the password from before the rotation: run sync-password/)
      }
      t.equal((await host.sync()).code, 0)
      await agrees(t, host)
    })
    await t.test(`${command}: after the vault had it`, async t => {
      put('later')
      await alter('later')
      linkSync(stage, `${host.vaultFile}.link`)
      renameSync(`${host.vaultFile}.link`, host.vaultFile)
      const result = await host.run(command)
      t.equal(result.code, 0, result.err)
      t.equal(host.vault(), 'later')
      if (command === 'postgres-endoreg-setup') t.match(result.err, /: run sync-password/)
      t.equal((await host.sync()).code, 0)
      await agrees(t, host)
    })
    await t.test(`${command}: and somebody has set another one meanwhile`, async t => {
      const old = host.vault()
      put('staged')
      await alter('by hand')
      const result = await host.run(command)
      t.equal(result.code, 0, result.err)
      t.equal(host.vault(), old)
      await agrees(t, host)
    })
    for (const bytes of ['', 'two\nlines', '\xff']) {
      await t.test(`${command}: a journal that holds ${JSON.stringify(bytes)}`, async t => {
        const old = host.vault()
        writeFileSync(stage, bytes)
        const result = await host.run(command)
        t.equal(result.code, 0, result.err)
        t.equal(host.vault(), old)
        await agrees(t, host)
      })
    }
  }
})

t.test('a new login that cannot be proved: the old password stays', async t => {
  const host = await converged(t)
  const old = host.vault()
  // In front of PostgreSQL; it serves until the rotation has begun.
  const proxy = createServer(client => {
    if (existsSync(`${host.vaultFile}.next`)) {
      client.destroy()
      return
    }
    const server = connect(host.cluster.port, '127.0.0.1')
    for (const socket of [client, server]) socket.on('error', () => {})
    client.pipe(server).pipe(client)
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => proxy.close())
  const address = proxy.address() as AddressInfo
  const env = {
    ENDOREG_DB_HOST: '127.0.0.1',
    ENDOREG_DB_PORT: String(address.port),
    ENDOREG_READY_TIMEOUT: '2',
  }
  const result = await host.run('sync-password', ['--rotate'], { env })
  t.not(result.code, 0)
  t.match(result.json.error, { message: /the old one is in use again/, cause: /closed/ })
  t.match(result.json.changes, [{ action: 'set password (rotated)' }, { action: /from before again/ }])
  t.equal(host.vault(), old)
  await agrees(t, host)
})

t.test('a password that another tool manages is not rotated', async t => {
  const host = await converged(t)
  const manifest = join(host.folder, 'manifest.json')
  const shipped = JSON.parse(readFileSync(new URL('../../units/manifest.json', import.meta.url), 'utf8'))
  writeFileSync(manifest, JSON.stringify({ ...shipped, passwordManagedBy: 'vaultwarden' }))
  const managed = await host.run('sync-password', ['--rotate'], { env: { ENDOREG_MANIFEST: manifest } })
  t.equal(managed.code, 78, managed.err)
  t.match(managed.json.error, { cause: /vaultwarden manages it/, hint: /then run sync-password/ })

  const env = { ENDOREG_VAULT_MANAGED_BY: 'systemd-creds' }
  const set = await host.run('sync-password', ['--rotate'], { env })
  t.equal(set.code, 78, set.err)
  t.match(set.json.error, { cause: /ENDOREG_VAULT_MANAGED_BY says that systemd-creds manages it/ })
  const none = { ...env, ENDOREG_VAULT_FILE: `${host.vaultFile}.none` }
  for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
    const { code, json } = await host.run(command, [], { env: none })
    t.equal(code, 78, command)
    t.match(json.error?.hint, /^Let systemd-creds put it there first/)
    t.same(json.changes, [])
  }

  renameSync(host.vaultFile, `${host.vaultFile}.real`)
  symlinkSync(`${host.vaultFile}.real`, host.vaultFile)
  const linked = await host.sync('--rotate')
  t.equal(linked.code, 78, linked.err)
  t.match(linked.json.error, { cause: /it is a link/, hint: /sops-nix/ })
  t.match(
    (
      await host.run('postgres-endoreg-setup', [], {
        env: { ENDOREG_MANIFEST: manifest, ENDOREG_VAULT_FILE: `${host.vaultFile}.none` },
      })
    ).json.error,
    {
      code: 78,
      cause: /vaultwarden manages it, and there is none/,
    },
  )
})

t.test('a password that somebody else has set is called that', async t => {
  const host = await Host.create(t, { settings: { track_commit_timestamp: 'on' } })
  t.equal((await host.setup()).code, 0)
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'by hand'`)
  const refused = await host.run('postgres-endoreg-setup', [], {
    env: { ENDOREG_ON_FOREIGN_CHANGE: 'refuse' },
  })
  t.equal(refused.code, 78, refused.err)
  t.match(
    refused.json.error?.cause,
    /somebody else changed it at 20\d\d-\d\d-\d\dT[\d:]+Z, and ENDOREG_ON_FOREIGN_CHANGE is refuse/,
  )
  const mended = await host.setup()
  t.equal(mended.code, 0, mended.err)
  t.match(mended.err, /: somebody else changed the password of the role endoregDbLocal at 20/)
  writeFileSync(host.vaultFile, 'the operator was here\n')
  const told = await host.setup()
  t.equal(told.code, 0, told.err)
  t.notMatch(told.err, /somebody else/)
  t.match(
    (await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_ON_FOREIGN_CHANGE: 'perhaps' } })).code,
    78,
  )
})

t.test('on a host that had its password before, a foreign one is noticed as well', needsRoot, async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  rmSync(join(host.folder, 'state'), { recursive: true })
  const check = await host.setup('--check')
  t.equal(check.code, 1, check.err)
  const adopted = await host.setup()
  t.equal(adopted.code, 0, adopted.err)
  t.match(adopted.json.changes, [{ resource: /^state folder/, action: /^remember/ }])
  t.same(check.json.changes, adopted.json.changes)
  t.same((await host.setup()).json.changes, [])
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'by hand'`)
  const env = { ENDOREG_ON_FOREIGN_CHANGE: 'refuse' }
  for (const command of ['postgres-endoreg-setup', 'sync-password']) {
    const refused = await host.run(command, [], { env })
    t.equal(refused.code, 78, refused.err)
  }
  await t.test('and what an earlier version has remembered is no drift', async t => {
    t.equal((await host.setup()).code, 0)
    const [file = ''] = readdirSync(join(host.folder, 'state')).filter(name => name.startsWith('verifiers.'))
    const path = join(host.folder, 'state', file)
    // It had the hash alone, of any role and without the vault file.
    const old = readFileSync(path, 'utf8')
      .split('\n')
      .flatMap(line => / ([0-9a-f]{64})$/.exec(line)?.[1] ?? [])
    writeFileSync(path, old.map(hash => `${hash}\n`).join(''))
    const check = await host.setup('--check')
    t.equal(check.code, 0, check.err)
    t.same((await host.setup()).json.changes, [])
    t.equal((await host.sync('--rotate')).code, 0)
    t.match(readFileSync(path, 'utf8'), `${host.vaultFile}\n`)
  })
  await t.test('and a state folder that cannot be written is a warning, no change', async t => {
    t.equal((await host.setup()).code, 0)
    const env = { ENDOREG_STATE_DIR: '/proc/endoreg-provision' }
    const result = await host.run('postgres-endoreg-setup', [], { env })
    t.equal(result.code, 0, result.err)
    t.match(result.err, /\/proc\/endoreg-provision could not be written/)
    t.same(result.json.changes, [])
  })
})

t.test('a rotation that was undone before PostgreSQL had it leaves nothing foreign', async t => {
  const host = await converged(t)
  const swallow = await proxy(t, host.cluster.port, () =>
    existsSync(`${host.vaultFile}.next`) ? 'cut' : 'forward',
  )
  const env = { PGHOST: '127.0.0.1', PGPORT: String(swallow), PGPASSWORD: SUPERUSER_PASSWORD }
  const cut = await host.run('sync-password', ['--rotate'], {
    env: { ...env, ENDOREG_DB_PORT: String(host.cluster.port) },
  })
  t.equal(cut.code, 75, cut.err)
  writeFileSync(host.vaultFile, 'the operator was here\n')
  const told = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_ON_FOREIGN_CHANGE: 'refuse' } })
  t.equal(told.code, 0, told.err)
})

t.test('twenty commands at once, rotations among them', async t => {
  const host = await converged(t)
  const old = host.vault()
  const commands = Array.from({ length: 20 }, (_, index) => {
    if (index % 4 === 0) return host.sync('--rotate')
    if (index % 4 === 1) return host.setup()
    return index % 4 === 2 ? host.boot() : host.sync()
  })
  for (const result of await Promise.all(commands)) t.equal(result.code, 0, result.err)
  t.not(host.vault(), old)
  t.equal((await host.boot()).code, 0)
  await agrees(t, host)
})
