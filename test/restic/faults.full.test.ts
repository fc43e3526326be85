import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { until } from '../support/cluster.ts'
import { needsRoot } from '../support/host.ts'
import { needsRestic, Storage, sameFolders } from '../support/remote.ts'

const MONDAY = '2026-11-23T12:00:00Z'
const WEEK = 7 * 86_400_000

/** The processes that `pid` has started. */
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)

/** Starts a push and gives it with its restic, which is at work. */
async function startPush(storage: Storage): Promise<{ command: ChildProcess; restic: number }> {
  const [program = '', ...args] = storage.command('push')
  const command = spawn(program, args, { env: storage.env, stdio: 'ignore' })
  const restic = await until(async () => {
    if (command.exitCode !== null) throw new Error(`it has ended with ${command.exitCode}`)
    return childrenOf(command.pid ?? 0).find(pid =>
      /^restic\0backup\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')),
    )
  }, 'restic makes a copy')
  return { command, restic }
}

/** So many copies of earlier backups, which are not on the host any more. */
async function copyOld(storage: Storage, number: number): Promise<string[]> {
  const names = Array.from({ length: number }, (_, index) => `2026-11-1${index}T01-02-03Z`)
  const paths = names.map(name => storage.makeBackup(name, 1000))
  const { code, err } = await storage.do('push')
  if (code !== 0) throw new Error(err)
  for (const path of paths) rmSync(path, { recursive: true })
  return names
}

/** Ends it as a power cut does, and waits until both have gone. */
async function cut(command: ChildProcess, restic: number): Promise<void> {
  const gone = command.exitCode === null && command.signalCode === null ? once(command, 'exit') : undefined
  // First the one that would be told of the other's end.
  for (const pid of [restic, command.pid ?? 0]) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has come to its end.
    }
  }
  await gone
  await until(async () => (isThere(restic) ? undefined : true), 'restic is gone')
}

function isThere(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

t.test('killed at any moment, it leaves nothing that looks like a copy and is none', needsRestic, async t => {
  const storage = await Storage.create(t)
  const path = storage.makeBackup('2026-11-25T01-02-03Z', 60_000_000)
  const left: string[] = []
  for (let moment = 1; moment <= 20; moment++) {
    const { command, restic } = await startPush(storage)
    // So many files have come, gone or got their names in the repository: a lock, packs, an index, the snapshot.
    let happened = 0
    await new Promise<void>(resolve => {
      const folders = [
        'locks',
        'index',
        'snapshots',
        ...readdirSync(join(storage.repository, 'data')).map(part => `data/${part}`),
      ]
      const watchers = folders.map(folder =>
        watch(join(storage.repository, folder), what => {
          if (what === 'rename' && ++happened >= moment * 3) done()
        }),
      )
      const done = (): void => {
        for (const watcher of watchers) watcher.close()
        resolve()
      }
      command.once('exit', done)
    })
    await cut(command, restic)
    const copies = await storage.copies()
    left.push(`${happened}: ${copies.length}`)
    if (copies.length > 0) {
      const into = join(storage.folder, `fetched-${moment}`)
      t.equal((await storage.do('fetch', into)).code, 0)
      t.ok(sameFolders(path, into), `what is there after ${happened} is whole`)
      break
    }
  }
  t.comment(`copies after so many things had happened: ${left.join(', ')}`)
  // How many, is up to the machine: where files are fast, much happens between a look and the kill.
  t.ok(
    left.some(text => text.endsWith(': 0')),
    'some were killed in the middle',
  )
  t.ok(storage.locks().length > 0, 'the killed ones have left locks')
  const { code, err } = await storage.do('push')
  t.equal(code, 0, err)
  const into = join(storage.folder, 'fetched')
  t.equal((await storage.do('fetch', into)).code, 0)
  t.ok(sameFolders(path, into), 'the next one completes')
  await copyOld(storage, 1)
  const old = await storage.do('forget', '1')
  t.equal(old.code, 0, old.err)
  t.same(storage.locks(), [], 'which are taken away')
})

t.test('restic ends with the command', needsRestic, async t => {
  const storage = await Storage.create(t)
  const old = await copyOld(storage, 3)
  storage.makeBackup('2026-11-25T01-02-03Z', 60_000_000)
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const { command, restic } = await startPush(storage)
    await until(async () => (storage.locks().length > 0 ? true : undefined), 'it has a lock')
    const gone = once(command, 'exit')
    command.kill(signal)
    const [code] = await gone
    t.equal(code, signal === 'SIGTERM' ? 75 : null)
    await until(async () => (isThere(restic) ? undefined : true), 'restic is gone')
    t.same(await storage.names(), old)
    const next = await storage.do('forget', `${old.length - 1}`)
    t.equal(next.code, 0, `its lock is not in the way: ${next.err}`)
    old.shift()
    t.same(await storage.names(), old)
  }
})

t.test('while another run holds the lock', needsRestic, async t => {
  const storage = await Storage.create(t)
  await copyOld(storage, 2)
  storage.makeBackup('2026-11-25T01-02-03Z', 60_000_000)
  const { command, restic } = await startPush(storage)
  await until(async () => (storage.locks().length > 0 ? true : undefined), 'it has a lock')
  process.kill(restic, 'SIGSTOP')
  const late = await storage.do('forget', '1', { env: { TEST_CLOCK: 'fast' } })
  t.equal(late.code, 75, late.err)
  t.match(late.json.error, {
    message: /^cannot take old copies away/,
    cause: /already locked by PID \d+/,
    hint: /run it again later/,
  })
  t.equal(storage.locks().length, 1, 'its lock stays')

  let waits: () => void = () => {}
  const waiting = new Promise<void>(resolve => {
    waits = resolve
  })
  const patient = storage.do('forget', '1', {
    onError: text => (text.includes('waiting for') ? waits() : undefined),
  })
  await waiting
  process.kill(restic, 'SIGCONT')
  await once(command, 'exit')
  t.equal(command.exitCode, 0)
  const { code, err } = await patient
  t.equal(code, 0, err)
  t.match(err, /waiting for the restic repository .*: locked by PID/)
  t.equal((await storage.names()).length, 2, 'one old copy has gone')
})

t.test('twice at once', needsRestic, async t => {
  const storage = await Storage.create(t)
  const path = storage.makeBackup('2026-11-25T01-02-03Z', 5_000_000)
  const both = await Promise.all([storage.do('push'), storage.do('push')])
  for (const { code, err } of both) t.equal(code, 0, err)
  const into = join(storage.folder, 'fetched')
  t.equal((await storage.do('fetch', into)).code, 0)
  t.ok(sameFolders(path, into))
  t.same((await storage.do('push')).json.changes, [])
})

t.test('a full disk', { skip: needsRestic.skip || needsRoot.skip }, async t => {
  const storage = new Storage(t)
  mkdirSync(storage.repository)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=0700', 'tmpfs', storage.repository])
  t.teardown(() => execFileSync('umount', [storage.repository]))
  t.equal((await storage.do('init')).code, 0)
  const first = storage.makeBackup('2026-11-25T01-02-03Z', 4_000_000)
  t.equal((await storage.do('push')).code, 0)
  const second = storage.makeBackup('2026-11-26T01-02-03Z', 20_000_000)
  const { code, json, err } = await storage.do('push')
  t.equal(code, 74, err)
  t.match(json.error, {
    message: /^cannot copy the backup .*2026-11-26/,
    cause: 'there is no space left where restic writes',
    hint: /df -h/,
  })
  const into = join(storage.folder, 'first')
  t.equal((await storage.do('fetch', into)).code, 0)
  t.ok(sameFolders(first, into), 'the last good copy is still there')
  execFileSync('mount', ['-o', 'remount,size=64m', storage.repository])
  const again = await storage.do('push')
  t.equal(again.code, 0, again.err)
  const other = join(storage.folder, 'second')
  t.equal((await storage.do('fetch', other)).code, 0)
  t.ok(sameFolders(second, other))
})

t.test('a full disk where it is fetched to', { skip: needsRestic.skip || needsRoot.skip }, async t => {
  const storage = await Storage.create(t)
  storage.makeBackup('2026-11-25T01-02-03Z', 4_000_000)
  t.equal((await storage.do('push')).code, 0)
  const into = join(storage.folder, 'small')
  mkdirSync(into)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', into])
  t.teardown(() => execFileSync('umount', [into]))
  const { code, json, err } = await storage.do('fetch', into)
  t.equal(code, 74, err)
  t.match(json.error, { cause: /no space left/ })
})

/** Changes a byte in the middle of a file. */
function damage(path: string): void {
  chmodSync(path, 0o600)
  const handle = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(handle, byte, 0, 1, 1000)
  writeSync(handle, Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, 1000)
  closeSync(handle)
}

t.test('a damaged pack is found by one of four weekly checks', needsRestic, async t => {
  const storage = await Storage.create(t)
  storage.makeBackup('2026-11-25T01-02-03Z', 3_000_000)
  t.equal((await storage.do('push')).code, 0)
  const weeks = [0, 1, 2, 3].map(number => new Date(Date.parse(MONDAY) + number * WEEK).toISOString())
  const sound = await storage.do('check', weeks[0])
  t.equal(sound.code, 0, sound.err)
  t.match(sound.json, { changed: false, checks: [{ name: /^restic repository, part \d of 4$/, ok: true }] })
  const sizes = storage.packs().map(path => ({ path, size: readFileSync(path).length }))
  const largest = sizes.sort((one, other) => other.size - one.size)[0]
  t.ok(largest)
  damage(largest?.path ?? '')
  const found = []
  for (const week of weeks) {
    const { code, json, err } = await storage.do('check', week)
    if (code === 0) continue
    found.push(week)
    t.equal(code, 74, err)
    t.match(json.error, { hint: /The repository is damaged.*The backups on this host are not touched/ })
    t.match(json.checks, [{ ok: false }])
  }
  t.equal(found.length, 1)
  const fetched = await storage.do('fetch', join(storage.folder, 'fetched'))
  t.equal(fetched.code, 74, fetched.err)
})

t.test('what is missing or wrong', needsRestic, async t => {
  const storage = await Storage.create(t)
  const other = join(storage.folder, 'other')
  const give = (text: string, mode = 0o400): void => {
    rmSync(other, { force: true })
    writeFileSync(other, text, { mode })
  }
  /** Lists with another environment. */
  const fails = async (
    name: string,
    env: Record<string, string>,
    code: number,
    error: object,
  ): Promise<void> => {
    const result = await storage.do('list', '', { env })
    t.equal(result.code, code, `${name}: ${result.err}`)
    t.match(result.json.error, error, name)
  }
  give('another password\n')
  await fails('wrong password', { RESTIC_PASSWORD_FILE: other }, 78, {
    cause: 'the password is not that of the repository',
    hint: /restic_password/,
  })
  give(' \n')
  await fails('empty password', { RESTIC_PASSWORD_FILE: other }, 78, { cause: /missing or empty/ })
  await fails('no password', { RESTIC_PASSWORD_FILE: '' }, 78, {
    cause: /no credential restic_password, no RESTIC_PASSWORD_FILE/,
    hint: /install -m 0400 .*\/etc\/secrets\/restic_password/,
  })
  await fails('in the environment', { RESTIC_PASSWORD_FILE: '', RESTIC_PASSWORD: 'plain text' }, 78, {
    cause: /^RESTIC_PASSWORD is not used/,
    hint: /RESTIC_PASSWORD_FILE/,
  })
  await fails('two addresses', { RESTIC_REPOSITORY_FILE: other }, 78, { cause: /both set/ })
  await fails('a relative folder', { RESTIC_REPOSITORY: 'repository' }, 78, {
    cause: /not named from the root/,
  })
  await fails('no such kind', { RESTIC_REPOSITORY: 'nonsense:x' }, 78, {
    cause: 'restic does not understand the address',
  })
  await fails('nobody listens', { RESTIC_REPOSITORY: 'sftp://127.0.0.1:1//x' }, 75, { hint: /network/ })
  await fails('nobody listens', { RESTIC_REPOSITORY: 'rest:http://127.0.0.1:1/', TEST_CLOCK: 'fast' }, 75, {
    hint: /network/,
  })
  await fails('no restic', { PATH: '/sbin:/bin'.replace('/bin', storage.folder) }, 69, {
    message: 'start setpriv',
  })
  const bin = join(storage.folder, 'bin')
  mkdirSync(bin)
  symlinkSync(
    execFileSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).trim(),
    join(bin, 'setpriv'),
  )
  await fails('no restic', { PATH: bin }, 69, { message: 'start restic', hint: /apt install restic/ })
  await fails('a proxy', { HTTPS_PROXY: 'http://me:secret@proxy:3128' }, 78, {
    message: 'give restic the variable HTTPS_PROXY',
  })

  give(readFileSync(storage.env['RESTIC_PASSWORD_FILE'] ?? '', 'utf8'), 0o444)
  const open = await storage.do('list', '', {
    env: { RESTIC_PASSWORD_FILE: other, RESTIC_PASSWORD: 'plain text' },
  })
  t.equal(open.code, 0, open.err)
  t.match(open.err, /every account can read .*chmod 0400/)
  t.match(open.err, /RESTIC_PASSWORD is not used/)
  t.notMatch(open.err, /plain text/)
  const credentials = join(storage.folder, 'credentials')
  mkdirSync(credentials, { mode: 0o700 })
  writeFileSync(join(credentials, 'restic_password'), readFileSync(other), { mode: 0o400 })
  give('another password\n')
  const credential = await storage.do('list', '', {
    env: { RESTIC_PASSWORD_FILE: other, CREDENTIALS_DIRECTORY: credentials },
  })
  t.equal(credential.code, 0, 'the credential comes first')
})

t.test('a folder that others can write', { skip: needsRestic.skip || needsRoot.skip }, async t => {
  const storage = await Storage.create(t)
  const stranger = findAccount('stranger')
  chownSync(storage.repository, stranger?.uid ?? 0, stranger?.gid ?? 0)
  const result = await storage.do('list')
  t.equal(result.code, 78, result.err)
  t.match(result.json.error, { cause: /others than root can write there/, hint: /chown root/ })
  chownSync(storage.repository, 0, 0)
  t.equal((await storage.do('list')).code, 0)
})
