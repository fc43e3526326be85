import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BIN } from '../support/checkout.ts'
import { isRoot } from '../support/command.ts'
import { Host } from '../support/host.ts'

const strace = spawnSync('strace', ['-V']).status === 0
const skip = strace ? false : 'no strace on this machine'

/** Runs a command in which one system call is killed or fails; see inject= in strace(1). */
function withFault(
  host: Host,
  command: string,
  inject: string,
): { code: number | null; err: string; out: string } {
  const call = inject.split(':')[0] ?? ''
  const { status, stderr, stdout } = spawnSync(
    'strace',
    [
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      `trace=${call}`,
      '-e',
      `inject=${inject}`,
      join(BIN, command),
      '--json',
    ],
    { env: host.env, encoding: 'utf8' },
  )
  return { code: status, err: stderr, out: stdout }
}

/** tap's option for a fault in what only root does. */
const chowns = (inject: string): { skip: string | false } => ({
  skip: inject.startsWith('fchown') && !isRoot ? 'an ordinary account gives no file away' : false,
})

/** After whatever happened: the vault file is absent or whole, nothing is open to others, and one more run converges. */
async function survives(t: Test, host: Host): Promise<void> {
  if (existsSync(host.vaultFile)) {
    t.match(readFileSync(host.vaultFile, 'utf8'), /^[A-Za-z0-9+/]{43}=\n$/, 'the vault file is whole')
    t.equal(statSync(host.vaultFile).mode & 0o7777, 0o640)
  }
  for (const folder of [host.vaultFolder, join(host.apiDir, 'conf')].filter(path => existsSync(path))) {
    for (const name of readdirSync(folder)) {
      t.equal(lstatSync(join(folder, name)).mode & 0o007, 0, `${name} is closed to others`)
    }
  }
  for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
    const next = await host.run(command)
    t.equal(next.code, 0, next.err)
  }
  t.same((await host.setup()).json.changes, [])
  t.same(readdirSync(host.vaultFolder), ['SCRT_password'])
  t.same(readdirSync(join(host.apiDir, 'conf')).sort(), ['db.yaml', 'db_pwd', 'secret_key'])
}

t.test('a disk that fails', { skip }, async t => {
  const cases: [inject: string, code: number, cause: RegExp][] = [
    ['fsync:error=EIO:when=1', 74, /input\/output error/],
    ['fsync:error=ENOSPC:when=1', 74, /no space left/],
    ['link:error=ENOSPC:when=1', 74, /no space left/],
    ['mkdir:error=EROFS:when=1', 73, /read-only/],
    ['fchown:error=EPERM:when=1', 77, /may not do that/],
  ]
  for (const [inject, code, cause] of cases) {
    await t.test(inject, chowns(inject), async t => {
      const host = await Host.create(t)
      const failed = withFault(host, 'postgres-endoreg-setup', inject)
      t.equal(failed.code, code, failed.err)
      t.match(JSON.parse(failed.out).error.cause, cause)
      t.notOk(existsSync(host.vaultFile), 'no vault file that is only half there')
      await survives(t, host)
    })
  }
})
