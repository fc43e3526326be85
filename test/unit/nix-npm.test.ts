import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CHECKOUT, Nix, withoutNix } from '../support/nix.ts'

type Lock = {
  readonly packages: Readonly<Record<string, { readonly integrity?: string; readonly os?: unknown }>>
}

const EXPRESSION = readFileSync(join(CHECKOUT, 'units/nixos/npm-packages.nix'), 'utf8')
const RECIPE = join(CHECKOUT, 'units/nixos/npm-packages.sh')

/** What npm is given by the derivation. */
function given(nix: Nix): { packageJson: string; packageLock: string } {
  const { code, out, err } = nix.run(
    'nix-instantiate',
    '--eval',
    '--strict',
    '--json',
    join(CHECKOUT, 'units/nixos/npm-lock.nix'),
  )
  if (code !== 0) throw new Error(err)
  return JSON.parse(out)
}

t.test('of the lock, what the commands consist of', { skip: withoutNix }, async t => {
  const { packageJson, packageLock } = given(new Nix(t))
  const manifest: { dependencies: Record<string, string> } = JSON.parse(packageJson)
  const shipped: typeof manifest = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'))
  t.strictSame(manifest.dependencies, shipped.dependencies)

  const lock: Lock = JSON.parse(packageLock)
  const whole: Lock = JSON.parse(readFileSync(join(CHECKOUT, 'package-lock.json'), 'utf8'))
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === '') continue
    t.strictSame(entry, whole.packages[path], path)
    t.match(entry.integrity, /^sha512-/)
    t.equal(entry.os, undefined)
  }
  for (const name of Object.keys(shipped.dependencies)) t.ok(lock.packages[`node_modules/${name}`], name)
  t.notOk(lock.packages['node_modules/esbuild'] ?? lock.packages['node_modules/tap'])
})

t.test('the hash in npm-packages.nix is that of what npm fetches', { skip: withoutNix }, async t => {
  const nix = new Nix(t)
  const { packageJson, packageLock } = given(nix)
  const [, hash] = /outputHash = "(sha256-[^"]+)"/.exec(EXPRESSION) ?? []
  // Twice, each in a clean folder, without a cache, and with other rights for what is made.
  for (const umask of ['0022', '0077']) {
    const folder = t.testdir({ 'package.json': packageJson, 'package-lock.json': packageLock, home: {} })
    const fetched = spawnSync('sh', ['-c', `umask ${umask} && sh ${RECIPE}`], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: join(folder, 'home') },
    })
    t.equal(fetched.status, 0, fetched.stderr)
    mkdirSync(join(folder, 'out'))
    renameSync(join(folder, 'node_modules'), join(folder, 'out/node_modules'))
    const hex = nix.run('nix-hash', '--type', 'sha256', join(folder, 'out')).out.trim()
    const found = `sha256-${Buffer.from(hex, 'hex').toString('base64')}`
    t.equal(hash, found, `write ${found} into units/nixos/npm-packages.nix`)
  }
})

t.test('what npm fetches is verified', { skip: withoutNix }, async t => {
  const { packageJson, packageLock } = given(new Nix(t))
  const lock: Lock = JSON.parse(packageLock)
  const integrity = lock.packages['node_modules/leven']?.integrity ?? ''
  const other = `sha512-${Buffer.alloc(64).toString('base64')}`
  const folder = t.testdir({ 'package.json': packageJson, home: {} })
  writeFileSync(join(folder, 'package-lock.json'), packageLock.replace(integrity, other))
  const { status, stderr } = spawnSync('sh', [RECIPE], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: join(folder, 'home') },
  })
  t.not(status, 0)
  t.match(stderr, /EINTEGRITY/)
})
