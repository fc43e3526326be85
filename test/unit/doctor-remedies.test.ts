import t from 'tap'
import { isFixable, remedyOn } from '../../lib/doctor/findings/examination.ts'
import { planFolder } from '../../lib/doctor/findings/folders.ts'
import type { Fix } from '../../lib/doctor/findings/meanings.ts'
import { applyRemedies, planRemedies, REMEDIES } from '../../lib/doctor/remedies/all.ts'
import { covers, sayPeer } from '../../lib/doctor/remedies/server.ts'
import { Failure } from '../../lib/frame/failure.ts'
import type { State } from '../../lib/host/ownership.ts'
import {
  accounts,
  BROKEN,
  CHECKOUT,
  DENIED,
  facts,
  GID,
  stat,
  traversals,
  UID,
  VAULT_FOLDER,
} from '../support/doctor/facts.ts'
import { plainRun } from '../support/plain-run.ts'

t.test(
  'each remedy finds what it needs: accounts before files, units before what is started, a server before what is in it',
  async t => {
    t.same(
      REMEDIES.map(({ fix }) => fix),
      [
        'accounts',
        'folders',
        'hosts',
        'undo',
        'units',
        'start',
        'trust-rule',
        'listen',
        'reload',
        'setup',
        'schema',
        'objects',
        'strays',
        'install',
        'units',
      ] satisfies Fix[],
    )
  },
)

t.test('what fix-postgres does on which host', async t => {
  const does = (host: { systemd: boolean; nixos: boolean }): Fix[] =>
    REMEDIES.map(({ fix }) => fix).filter(fix => isFixable(facts(host), fix))
  const all = REMEDIES.map(({ fix }) => fix)
  const without = (...fixes: readonly Fix[]): Fix[] => all.filter(fix => !fixes.includes(fix))
  t.same(does({ systemd: true, nixos: false }), all)
  t.same(does({ systemd: false, nixos: false }), without('undo', 'start', 'listen', 'units'))
  t.same(does({ systemd: true, nixos: true }), without('accounts', 'hosts', 'trust-rule', 'listen'))
  t.same(remedyOn(facts(), 'do this', 'that.option'), 'do this')
  t.same(remedyOn(facts({ nixos: true }), 'do this', 'that.option'), 'set the option that.option')
})

t.test('a remedy says in one line what it will do, and to what', async t => {
  const masked = {
    id: 'unit-masked',
    severity: 'error',
    seen: '',
    meaning: '',
    remedy: '',
    blocks: 'api',
  } as const
  const found = REMEDIES.flatMap(({ fix }) =>
    ['/b', '/a', '/b'].map(subject => ({ ...masked, subject, fix })),
  )
  for (const { remedy, does } of planRemedies(found)) {
    if (remedy.fix === 'start') t.equal(does, 'start PostgreSQL')
    else t.match(does, /^[^\n]+\/b, \/a\b(?!.*\/b)/, remedy.fix)
  }
  t.equal(planRemedies(found).length, REMEDIES.length)
})

t.test('an address that PostgreSQL already listens at is not added', async t => {
  for (const [listening, address, wanted] of [
    ['*', '::1', true],
    ['*', '192.0.2.1', true],
    ['::', '::1', true],
    ['::', '127.0.0.1', false],
    ['0.0.0.0', '127.0.0.1', true],
    ['0.0.0.0', '::1', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '::1', false],
    ['localhost', '127.0.0.1', true],
    ['localhost', '::1', true],
    ['localhost', '192.0.2.1', false],
    ['', '::1', false],
  ] as const)
    t.equal(covers(['x', listening], address), wanted, `${listening} and ${address}`)
})

t.test('trust becomes peer in one local rule, and nothing else of the file changes', async t => {
  const said = (line: string): string | undefined => sayPeer(`first trust\n${line}\nlocal all all trust`, 2)
  for (const [line, wanted] of [
    ['local all postgres trust', 'local all postgres peer'],
    ['local\tall  postgres   trust  # as it was: trust', 'local\tall  postgres   peer  # as it was: trust'],
    ['  local all all trust\r', '  local all all peer\r'],
    ['local trust trust trust', 'local trust trust peer'],
  ] as const)
    t.equal(said(line), `first trust\n${wanted}\nlocal all all trust`, line)
  for (const line of [
    'host all all 127.0.0.1/32 trust',
    'local all all peer',
    'local all all trust map=x',
    'local all all trusted',
    'local "a b" all trust',
    'local all all \\',
    '# local all all trust',
    'local all trust',
  ])
    t.equal(said(line), undefined, line)
  t.equal(sayPeer('local all all trust', 2), undefined, 'there is no such line')
  t.equal(sayPeer('local all all trust', 1), 'local all all peer')
})

const HOME = '/var/endoreg-service-user'
const ROOTS = stat(0, 0, 0o40700)
const plan = (path: string, steps: Readonly<Record<string, State>>, goal: 'vault' | 'checkout' = 'vault') => {
  const told = facts({
    pathToVault: traversals(VAULT_FOLDER, DENIED, steps),
    pathToCheckout: traversals(CHECKOUT, DENIED, steps),
  })
  const found = planFolder(told, path, goal)
  return found && [found.desired.uid, found.desired.gid, found.desired.mode.toString(8), found.desired.names]
}

t.test("root's own folder on the way is opened to the one group that has to get through", async t => {
  const open = [0, GID.vault, '710', 'root:sensitiveServices']
  t.same(plan('/etc/secrets', { '/etc/secrets': ROOTS }), open)
  t.same(plan('/etc/secrets', { '/etc/secrets': stat(0, GID.vault, 0o40700) }), open, 'which may have it')
  t.same(plan('/etc/secrets', { '/etc/secrets': stat(0, 0, 0o43744) }), [0, GID.vault, '3754', open[3]])
  t.same(plan('/var', { '/var': ROOTS }, 'checkout'), [0, GID.service, '710', 'root:endoreg-service'])
})

t.test('no other one is', async t => {
  for (const [what, state] of [
    ["another account's", stat(UID.admin, 0, 0o40700)],
    ["another group's, which would lose it", stat(0, GID.admin, 0o40700)],
    ["the service's group's, on the way to the vault", stat(0, GID.service, 0o40700)],
    ['one that its group can write', stat(0, GID.vault, 0o40720)],
    ['one that everybody can write', stat(0, 0, 0o40702)],
  ] as const)
    t.equal(plan('/etc/secrets', { '/etc/secrets': state }), undefined, what)
  t.equal(plan('/srv', {}), undefined, 'one that is not on the way')
  t.equal(plan(HOME, { [HOME]: ROOTS }, 'vault'), undefined, 'nor on the way to something else')
})

t.test("the API's checkout and home become its account's own, whosever they are", async t => {
  const own = [UID.service, GID.service, '750', 'endoreg-service-user:endoreg-service']
  for (const path of [HOME, CHECKOUT]) {
    t.same(plan(path, { [path]: stat(UID.admin, GID.admin, 0o40777) }, 'checkout'), own)
    t.same(plan(path, { [path]: ROOTS }, 'checkout'), own)
  }
})

t.test('nothing is opened where somebody could put another folder in its place', async t => {
  for (const [path, goal] of [
    ['/etc/secrets', 'vault'],
    [CHECKOUT, 'checkout'],
  ] as const) {
    const states = { [path]: ROOTS }
    const told = (unsafe: readonly string[]) =>
      facts({
        pathToVault: traversals(VAULT_FOLDER, DENIED, states, unsafe),
        pathToCheckout: traversals(CHECKOUT, DENIED, states, unsafe),
      })
    t.ok(planFolder(told([]), path, goal), path)
    t.equal(planFolder(told([path]), path, goal), undefined, path)
  }
})

t.test('nothing is planned without the accounts, or where the way could not be seen', async t => {
  const way = { pathToVault: traversals(VAULT_FOLDER, DENIED, { '/etc/secrets': ROOTS }) }
  t.ok(planFolder(facts(way), '/etc/secrets', 'vault'))
  for (const change of [
    { accounts: BROKEN },
    accounts({ service: undefined }),
    accounts({ serviceGroup: undefined }),
    accounts({ vaultGroup: undefined }),
    { pathToVault: { ours: undefined, theirs: DENIED } },
  ])
    t.equal(planFolder(facts({ ...way, ...change }), '/etc/secrets', 'vault'), undefined)
})

t.test('a remedy that fails leaves the others to be tried', async t => {
  const applied: Fix[] = []
  const planned = (fix: Fix, apply: () => Promise<void>) => ({
    remedy: { fix, does: () => fix, apply },
    findings: [],
    does: fix,
  })
  const works = (fix: Fix) =>
    planned(fix, async () => {
      applied.push(fix)
    })
  const fails = planned('start', async () => {
    throw new Failure(69, { message: 'start it', cause: 'no systemd', hint: 'Start it by hand.' })
  })
  const run = plainRun(t)
  await applyRemedies(run, [works('accounts'), fails, works('setup')], facts({}))
  t.same(applied, ['accounts', 'setup'])
  const broken = planned('start', async () => {
    throw new Error('a bug')
  })
  await t.rejects(applyRemedies(run, [broken], facts({})), { message: 'a bug' })
})
