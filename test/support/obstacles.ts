import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Host } from './host.ts'

/** What keeps `path` from being replaced; gives what takes it away again, or undefined where this host cannot do it. */
type Obstacle = (path: string) => (() => void) | undefined

export const mounted: Obstacle = path => {
  execFileSync('mount', ['--bind', path, path])
  return () => execFileSync('umount', [path])
}
const readOnly: Obstacle = path => {
  const folder = join(path, '..')
  execFileSync('mount', ['--bind', folder, folder])
  execFileSync('mount', ['-o', 'remount,ro,bind', folder])
  return () => execFileSync('umount', [folder])
}
const flagged =
  (flag: string, of: (path: string) => string): Obstacle =>
  path => {
    const target = of(path)
    try {
      execFileSync('chattr', [`+${flag}`, target], { stdio: 'ignore' })
    } catch {
      return undefined
    }
    return () => execFileSync('chattr', [`-${flag}`, target])
  }
const itself = (path: string): string => path
const folderOf = (path: string): string => join(path, '..')

const OBSTACLES: readonly [name: string, obstacle: Obstacle, code: number, says: RegExp][] = [
  ['mounted over', mounted, 78, /something is mounted/],
  ['on a read-only file system', readOnly, 73, /read-only/],
  ['immutable', flagged('i', itself), 77, /not permitted/],
  ['in an immutable folder', flagged('i', folderOf), 77, /not permitted/],
  ['append-only', flagged('a', itself), 77, /not permitted/],
]
/** What only a try tells. */
const UNSEEN = new Set(['append-only'])

export async function converged(t: Test): Promise<Host> {
  const host = await Host.create(t)
  for (const result of [await host.setup(), await host.boot()]) t.equal(result.code, 0, result.err)
  return host
}

/** The role's row as it is: a new version of it has another xmin. */
export const roleOf = async (host: Host): Promise<unknown> =>
  host.cluster.query(`SELECT xmin::text, rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`)

/** A rotation meets each obstacle of these names, or all, at the vault file and at db_pwd, before the role is touched. */
export async function meetObstacles(t: Test, names?: readonly string[]): Promise<void> {
  const host = await converged(t)
  for (const [what, path] of [
    ['the vault file', host.vaultFile],
    ['db_pwd', host.copy],
  ] as const) {
    for (const [name, obstacle, code, says] of OBSTACLES.filter(([name]) => names?.includes(name) ?? true)) {
      if (UNSEEN.has(name) && path === host.copy) continue
      await t.test(`${what}, ${name}`, async t => {
        const remove = obstacle(path)
        if (!remove) {
          t.pass('this file system has no such flags', { skip: 'chattr is refused' })
          return
        }
        try {
          const before = await roleOf(host)
          for (const args of [['--rotate', '--check'], ['--rotate']]) {
            if (args.includes('--check') && UNSEEN.has(name)) continue
            const result = await host.sync(...args)
            t.equal(result.code, code, result.err)
            t.match(result.json.error, { message: /replace/, cause: says })
            t.same(result.json.changes, [])
            t.match(result.err, args.includes('--check') ? /./ : /no changes made/)
          }
          t.same(await roleOf(host), before, 'the role was not touched')
        } finally {
          remove()
        }
        t.equal((await host.sync('--check')).code, 0, 'and nothing is left behind')
      })
    }
  }
  await t.test('and without that obstacle it is replaced', async t => {
    const rotated = await host.sync('--rotate', '--no-restart')
    t.equal(rotated.code, 0, rotated.err)
  })
}
