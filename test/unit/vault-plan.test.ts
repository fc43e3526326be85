import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PlanOutdated } from '../../lib/frame/failure.ts'
import { Password } from '../../lib/frame/password.ts'
import type { Change } from '../../lib/frame/terms.ts'
import { effectiveUid } from '../../lib/host/identity.ts'
import { ownershipDrift, type State } from '../../lib/host/ownership.ts'
import type { VaultOwnership } from '../../lib/provision/owners.ts'
import { RememberedVerifiers } from '../../lib/provision/remembered-verifiers.ts'
import { inspectVault, type Vault } from '../../lib/provision/vault.ts'
import { planVault, vaultInUse } from '../../lib/provision/vault-plan.ts'
import { cluster, settings, withRole } from '../support/doctor/facts.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, scratch } from '../support/scratch.ts'

const uid = effectiveUid()
const gid = process.getegid?.() ?? 0
const OWNER: VaultOwnership = {
  account: { name: 'me', uid, gid },
  file: { uid, gid, mode: 0o640, names: 'me:mine' },
  folder: { uid, gid, mode: 0o750, names: 'me:mine' },
}
const GENERATED = new Password('generated')

const changesOf = (vault: Vault, adoption: readonly Change[] = []): Change[] =>
  planVault({ vault, owner: OWNER, interrupted: { adoption }, password: GENERATED })

/** The changes to `vault`: what each says, and all of them made. */
function plan(vault: Vault) {
  const changes = changesOf(vault)
  return {
    actions: changes.map(({ action }) => action),
    apply: () => {
      for (const change of changes) if (change.by === 'file') change.run()
    },
  }
}

const state = (over: Partial<State> = {}): State => ({ uid, gid, mode: 0o100640, nlink: 1, ino: 1, ...over })
const folderAt = (path: string, mode: number): Vault['folder'] => ({ path, stat: state({ mode, nlink: 2 }) })

t.test('a folder that others use as well is not taken over', t => {
  const vault = (path: string, mode: number): Vault => ({
    path: `${path}/password`,
    folder: folderAt(path, mode),
    file: { state: 'missing' },
    litter: [],
  })
  const shared = [
    '/etc',
    '/secrets',
    '/usr/lib',
    '/usr/lib64',
    '/usr/bin',
    '/usr/sbin',
    '/usr/share',
    '/usr/local',
    '/var/lib',
    '/var/cache',
    '/var/log',
    '/var/spool',
    '/var/tmp',
    '/var/run',
    '/var/opt',
    '/etc/opt',
    '/etc/ssl',
    '/etc/systemd',
    '/etc/nixos',
  ]
  for (const path of shared)
    t.throws(() => plan(vault(path, 0o40755)), {
      code: 78,
      message: `set owner and mode of the vault folder ${path}`,
      reason: 'the whole system uses this folder',
      hint: `${path}/password`,
    })
  t.throws(() => plan(vault('/etc/secrets/vault', 0o41777)), { code: 78 }, 'a sticky one')
  t.throws(() => plan(vault('/etc/secrets/vault', 0o41750)), { code: 78 }, 'a sticky one with our mode')
  for (const path of ['/etc/secrets', '/var/lib/endoreg', '/home/log', '/usr/lib/x', '/etc/library'])
    t.match(plan(vault(path, 0o40755)).actions[0], /^set owner and mode, \S+ 0755 -> me:mine 0750$/, path)
  for (const path of ['/etc', '/var/lib'])
    t.same(plan(vault(path, 0o40750)).actions, ['generate, me:mine 0640'], 'where nothing is to be set')
  t.end()
})

t.test('a file with a second name is not given away', t => {
  const vault = (nlink: number, more: Partial<Vault> = {}): Vault => ({
    path: '/x/vault/password',
    folder: folderAt('/x/vault', 0o40750),
    file: { state: 'file', password: GENERATED, stat: state({ mode: 0o100600, nlink, ino: 4711 }) },
    litter: [],
    ...more,
  })
  const refused = { code: 78, reason: 'names (hard links)', hint: '-inum 4711' }
  t.same(plan(vault(1)).actions.length, 1)
  t.throws(() => plan(vault(2)), refused)
  // A killed run may have left it under a temporary name, and as the next password.
  const litter = ['.password.0123456789ab.tmp']
  const next = { state: 'file', password: GENERATED } as const
  t.same(plan(vault(2, { litter })).actions.length, 2)
  t.throws(() => plan(vault(3, { litter })), refused)
  t.same(plan(vault(2, { next })).actions.length, 1)
  t.throws(() => plan(vault(3, { next })), refused)
  t.same(plan(vault(3, { litter, next })).actions.length, 2)
  t.throws(() => plan(vault(4, { litter, next })), refused)
  const right = { state: 'file', password: GENERATED, stat: state({ nlink: 2 }) } as const
  t.same(plan(vault(2, { file: right })).actions, [], 'one that is right is not touched')
  t.end()
})

t.test('drift is any difference, and a file that all could read is said', t => {
  t.equal(ownershipDrift(state(), OWNER.file), undefined)
  for (const over of [{ uid: uid + 1 }, { gid: gid + 1 }, { mode: 0o100600 }, { mode: 0o104640 }])
    t.match(ownershipDrift(state(over), OWNER.file), /^set owner and mode, .* -> me:mine 0640$/)
  const vault = (mode: number): Vault => ({
    path: '/x/vault/password',
    folder: folderAt('/x/vault', 0o40750),
    file: { state: 'file', password: GENERATED, stat: state({ mode }) },
    litter: [],
  })
  for (const mode of [0o644, 0o604, 0o666])
    t.match(plan(vault(0o100000 | mode)).actions, [/every account could read it, so rotate/])
  for (const mode of [0o600, 0o660, 0o642, 0o641])
    t.notMatch(plan(vault(0o100000 | mode)).actions[0], /every account/)
  t.same(changesOf({ ...vault(0o100644), file: { state: 'link', password: GENERATED } }), [])
  const adopt: Change = { by: 'file', resource: 'vault file', action: 'adopt', run: () => {} }
  t.same(changesOf(vault(0o100644), [adopt]), [adopt], 'one that the next password has just become')
  t.end()
})

t.test('the changes do what they say', t => {
  const top = scratch(t)
  const path = join(top, 'made/vault/password')
  const look = (): Vault => inspectVault(path, OWNER.account)
  plan(look()).apply()
  t.equal(readFileSync(path, 'utf8'), 'generated\n')
  t.equal(statSync(path).mode & 0o7777, 0o640)
  t.equal(statSync(join(path, '..')).mode & 0o7777, 0o750)
  t.same(plan(look()).actions, [])
  chmodSync(path, 0o644)
  chmodSync(join(path, '..'), 0o755)
  writeFileSync(join(path, '../.password.0123456789ab.tmp'), '')
  t.equal(plan(look()).actions.length, 3)
  plan(look()).apply()
  t.equal(statSync(path).mode & 0o7777, 0o640)
  t.same(readdirSync(join(path, '..')), ['password'])
  t.same(plan(look()).actions, [])
  t.end()
})

t.test('what another process did since the look is not undone', t => {
  const top = scratch(t)
  const path = join(top, 'vault/password')
  mkdirSync(join(top, 'vault'), { mode: 0o750 })
  chmodSync(join(top, 'vault'), 0o750)
  const planned = (prepare: () => void) => {
    rmSync(path, { force: true })
    prepare()
    return plan(inspectVault(path, OWNER.account))
  }
  const wrong = (): void => {
    writeFileSync(path, 'secret\n')
    chmodSync(path, 0o600)
  }
  const later: readonly [name: string, prepare: () => void, meanwhile: () => void][] = [
    ['a vault file was made', () => {}, () => writeFileSync(path, 'made by another\n')],
    [
      'another file is there',
      wrong,
      () => {
        // Beside it, so that it is another inode.
        writeFileSync(`${path}.new`, 'of another\n', { mode: 0o600 })
        renameSync(`${path}.new`, path)
      },
    ],
    ['it got a second name', wrong, () => linkSync(path, join(top, 'second'))],
    ['the folder is gone', () => {}, () => renameSync(join(top, 'vault'), join(top, 'away'))],
  ]
  for (const [name, prepare, meanwhile] of later) {
    const { actions, apply } = planned(prepare)
    t.equal(actions.length, 1, name)
    meanwhile()
    const before = existsSync(path) && readFileSync(path, 'utf8')
    const mode = existsSync(path) && statSync(path).mode
    t.throws(apply, new PlanOutdated(), name)
    t.equal(existsSync(path) && readFileSync(path, 'utf8'), before, name)
    t.equal(existsSync(path) && statSync(path).mode, mode, name)
  }
  renameSync(join(top, 'away'), join(top, 'vault'))
  const { apply } = planned(wrong)
  rmSync(path)
  writeFileSync(join(top, 'other'), '', { mode: 0o600 })
  symlinkSync(join(top, 'other'), path)
  t.throws(apply, { code: 'ELOOP' }, 'a link is not followed')
  t.equal(statSync(join(top, 'other')).mode & 0o7777, 0o600)
  t.end()
})

t.test('a link in the place of the folder is not followed to one of somebody else', needsRoot, t => {
  const top = scratch(t)
  const theirs = accountOf('stranger')
  mkdirSync(join(top, 'theirs/vault'), { recursive: true })
  mkdirSync(join(top, 'ours'))
  const { apply } = plan(inspectVault(join(top, 'theirs/vault/password'), OWNER.account))
  chownSync(join(top, 'theirs'), theirs.uid, theirs.gid)
  renameSync(join(top, 'theirs/vault'), join(top, 'theirs/away'))
  symlinkSync(join(top, 'ours'), join(top, 'theirs/vault'))
  t.throws(apply, { code: 78, reason: 'is a link in a folder that stranger' })
  t.same(readdirSync(join(top, 'ours')), [])
  t.end()
})

t.test('a vault file used so far matters where the setup would make a new password, and nowhere else', t => {
  const top = scratch(t)
  const before = join(top, 'before')
  const here = { ...settings, stateDir: join(top, 'state'), vaultFile: join(top, 'mistyped') }
  const manifest = { passwordManagedBy: undefined }
  const verifier = 'SCRAM-SHA-256$'
  const look = (settings = here, change = cluster(), declared: { passwordManagedBy?: string } = {}) =>
    vaultInUse(settings, { ...manifest, ...declared }, change, OWNER.account)
  writeFileSync(before, 'in use\n')
  t.equal(look(), undefined, 'nothing is remembered')
  new RememberedVerifiers(here.stateDir, cluster().identifier).remember(settings.dbUser, verifier, before)
  t.equal(look(), before)
  t.equal(look({ ...here, vaultFile: before }), undefined, 'it is the one of the settings')
  t.equal(look(here, withRole({ verifier: null })), undefined, 'the role has no password')
  t.equal(look(here, cluster({ roles: new Map() })), undefined, 'there is no such role')
  t.equal(look(here, cluster({ inRecovery: true })), undefined, 'it comes from the primary')
  t.equal(look({ ...here, vaultManagedBy: 'sops-nix' }), undefined, 'another tool has it')
  t.equal(look(here, cluster(), { passwordManagedBy: 'sops-nix' }), undefined, 'as the manifest says')
  rmSync(before)
  t.equal(look(), undefined, 'it is gone')
  t.end()
})
