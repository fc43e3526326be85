import { execFileSync } from 'node:child_process'
import { chownSync, cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { FIXED_IDS } from '../support/checkout.ts'
import { until } from '../support/cluster.ts'
import { drill, left, servers } from '../support/drill-host.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { needsRoot } from '../support/host.ts'
import { backUp, ended, sampleHost } from '../support/sample-host.ts'

const skip = needsPrograms.skip || needsRoot.skip
/** The rights of the unit that runs it. */
const FEW_RIGHTS = ['setpriv', '--bounding-set=-all,+setuid,+setgid', '--inh-caps=-all', '--no-new-privs']

t.test('with whatever rights it has', { skip }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  const env = { PATH: `${FIXED_IDS}:${host.env['PATH']}` }
  for (const [what, options] of Object.entries({
    'those of its unit': { within: FEW_RIGHTS },
    'in a Node.js that changes no ids': { env },
    'those of its unit, in a Node.js that changes no ids': { within: FEW_RIGHTS, env },
  })) {
    const result = await drill(host, [], options)
    t.equal(result.code, 0, `${what}: ${result.err}`)
    t.same(left(host), [])
  }
  await t.test('an ordinary account', async t => {
    const stranger = findAccount('stranger')
    const copy = join(host.folder, 'copy')
    cpSync(join(host.folder, 'backups'), copy, { recursive: true })
    execFileSync('chown', ['-R', 'stranger:', copy])
    const state = join(host.folder, 'own-state')
    mkdirSync(state)
    chownSync(state, stranger?.uid ?? 0, stranger?.gid ?? 0)
    const result = await drill(host, [], {
      as: 'stranger',
      env: { ENDOREG_BACKUP_DIR: copy, ENDOREG_STATE_DIR: state },
    })
    t.equal(result.code, 0, result.err)
    t.same(left(host), [])
  })
})

t.test('where it cannot be shut off from the host, nothing is restored', { skip }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  // Whoever is in a chroot(2) makes no user namespace (user_namespaces(7)).
  const elsewhere = join(host.folder, 'elsewhere')
  mkdirSync(elsewhere)
  const script = `mount --rbind / ${elsewhere} && exec chroot ${elsewhere} "$0" "$@"`
  const within = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script]
  const { json } = ended(await drill(host, [], { within }), 77)
  t.match(json.error, {
    message: /shut a throwaway PostgreSQL off from this host/,
    cause: /^unshare: .*Operation not permitted$/,
    hint: /max_user_namespaces.*RestrictNamespaces/,
  })
  t.same(json.checks, [])
  t.same(left(host), [])
})

t.test('killed or interrupted it leaves nothing', { skip }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  // Each is done when the thing itself is there to be seen.
  const moments: readonly (readonly [what: string, reached: () => boolean])[] = [
    ['the folder is there', () => left(host).length > 0],
    ['the server runs', () => servers(host).some(pid => isPostgres(pid))],
  ]
  for (const signal of ['KILL', 'TERM', 'INT'] as const) {
    for (const [what, reached] of moments) {
      const script = `exec "$0" "$@"`
      let pid: number | undefined
      const running = host.run('restore-postgres', ['--drill'], {
        within: ['sh', '-c', `echo "pid $$" >&2; ${script}`],
        onError: text => {
          pid ??= Number(/pid (\d+)/.exec(text)?.[1])
        },
      })
      await until(async () => (pid && reached()) || undefined, what)
      process.kill(pid ?? 0, `SIG${signal}`)
      const { code, signal: by } = await running
      if (signal === 'KILL') t.equal(by, 'SIGKILL')
      else t.equal(code, 75)
      await until(
        async () => (left(host).length === 0 && servers(host).length === 0) || undefined,
        'all has gone',
      )
      t.pass(`${signal}, when ${what}`)
    }
  }
  ended(await drill(host), 0)
})

const isPostgres = (pid: string): boolean => {
  try {
    return execFileSync('readlink', [`/proc/${pid}/exe`], { encoding: 'utf8' })
      .trim()
      .endsWith('/postgres')
  } catch {
    return false
  }
}
