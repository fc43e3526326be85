import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort, until } from '../support/cluster.ts'
import { needsRestic, PASSWORD, Storage, sameFolders } from '../support/remote.ts'

const USER = 'clinic-1'
/** As it is, and as it has to be written in an address. */
const SECRET = 'p@ss/word:of #REST'
const ENCODED = encodeURIComponent(SECRET)

const skip =
  needsRestic.skip ||
  (spawnSync('rclone', ['version']).status === 0
    ? false
    : 'needs rclone, which serves the REST protocol (Debian: apt install rclone)')

/** A server that speaks restic's REST protocol and asks for a name and password. */
async function serve(t: Test, storage: Storage, port: number, ...options: string[]): Promise<ChildProcess> {
  const args = ['serve', 'restic', '--addr', `127.0.0.1:${port}`, ...options, storage.repository]
  const server = spawn('rclone', args, {
    env: { PATH: process.env['PATH'], HOME: storage.folder, RCLONE_USER: USER, RCLONE_PASS: SECRET },
    stdio: 'ignore',
  })
  const end = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill()
    await once(server, 'exit')
  }
  t.teardown(end)
  await until(async () => {
    await fetch(`http://127.0.0.1:${port}/`)
    return true
  }, 'the server answers')
  return server
}

/** A storage whose repository is behind such a server; its address is in a file, since it has the password in it. */
async function withServer(t: Test, ...options: string[]) {
  const storage = new Storage(t)
  mkdirSync(storage.repository)
  const port = await freePort()
  const address = join(storage.folder, 'address')
  const write = (text: string): void => writeFileSync(address, text, { mode: 0o600 })
  write(`rest:http://${USER}:${ENCODED}@127.0.0.1:${port}/\n`)
  delete storage.env['RESTIC_REPOSITORY']
  storage.env['RESTIC_REPOSITORY_FILE'] = address
  const server = await serve(t, storage, port, ...options)
  return { storage, port, write, server }
}

const SECRETS = [PASSWORD, SECRET, ENCODED]

/** What the processes of this machine show of themselves to root, less those that may know the secret. */
function shown(except: readonly number[]): string[] {
  return readdirSync('/proc').flatMap(pid => {
    if (!/^\d+$/.test(pid) || except.includes(Number(pid))) return []
    try {
      return ['cmdline', 'environ'].map(file => `${pid} ${readFileSync(`/proc/${pid}/${file}`, 'utf8')}`)
    } catch {
      return []
    }
  })
}

t.test('no process shows a password, and no output has one', { skip }, async t => {
  const { storage, server } = await withServer(t)
  const path = storage.makeBackup('2026-11-25T01-02-03Z', 40_000_000)
  const outputs: string[] = []
  // restic waits until it has been looked at, however short its work is.
  const shell = { env: storage.env, encoding: 'utf8' } as const
  const real = execFileSync('sh', ['-c', 'command -v restic'], shell).trim()
  const [bin, seen] = [join(storage.folder, 'bin'), join(storage.folder, 'seen')]
  for (const folder of [bin, seen]) mkdirSync(folder)
  const waiting = `#!/bin/sh\nuntil [ -e '${seen}'/$$ ]; do sleep 0.02; done\nexec '${real}' "$@"\n`
  writeFileSync(join(bin, 'restic'), waiting, { mode: 0o755 })
  const { PATH = '' } = storage.env
  storage.env['PATH'] = `${bin}:${PATH}`
  for (const work of ['push', 'init', 'push', 'list', 'check', 'forget']) {
    let ended = false
    let looks = 0
    const result = storage.do(work, work === 'forget' ? '1' : '2026-11-23T00:00:00Z').finally(() => {
      ended = true
    })
    while (!ended) {
      for (const text of shown([server.pid ?? 0])) {
        const [, pid] = /^(\d+) .*\/bin\/restic\0/.exec(text) ?? []
        if (pid !== undefined) {
          looks++
          writeFileSync(join(seen, pid), '')
        }
        for (const secret of SECRETS) if (text.includes(secret)) t.fail(`${work}: ${text}`)
      }
      await new Promise(resolve => setImmediate(resolve))
    }
    const { code, out, err } = await result
    outputs.push(out, err)
    t.ok(looks > 0, `${work} was seen at work`)
    t.equal(code, outputs.length === 2 ? 78 : 0, err)
  }
  storage.env['PATH'] = PATH
  const into = join(storage.folder, 'fetched')
  t.equal((await storage.do('fetch', into)).code, 0)
  t.ok(sameFolders(path, into))
  for (const secret of SECRETS) t.notOk(outputs.join().includes(secret))
  t.match(outputs.join(), /the restic repository of .*\/address/)
})

t.test('no failure shows a password', { skip }, async t => {
  const { storage, port, write, server } = await withServer(t)
  t.equal((await storage.do('init')).code, 0)
  const cases: readonly (readonly [name: string, address: string, code: number, error: object])[] = [
    [
      'another password',
      `rest:http://${USER}:${ENCODED}x@127.0.0.1:${port}/`,
      77,
      { hint: /RESTIC_REPOSITORY_FILE/ },
    ],
    [
      'not encoded',
      `rest:http://${USER}:${SECRET}@127.0.0.1:${port}/`,
      78,
      { cause: /RESTIC_REPOSITORY_FILE has an address with/, hint: /%2F/ },
    ],
    [
      'no such kind',
      `nonsense://${USER}:${ENCODED}@127.0.0.1:${port}/`,
      78,
      { cause: /does not understand/ },
    ],
    ['no such host', `rest:http://${USER}:${ENCODED}@host.invalid:${port}/`, 75, { hint: /network/ }],
    [
      'another folder',
      `rest:http://${USER}:${ENCODED}@127.0.0.1:${port}/other/`,
      78,
      { cause: 'there is no repository' },
    ],
    ['empty', '\n', 78, { cause: /is empty/ }],
  ]
  for (const [name, address, code, error] of cases) {
    write(address)
    const result = await storage.do('list', '', { env: code === 75 ? { TEST_CLOCK: 'fast' } : {} })
    t.equal(result.code, code, `${name}: ${result.err}`)
    t.match(result.json.error, error, name)
    for (const secret of SECRETS) t.notOk((result.err + result.out).includes(secret), name)
    t.notMatch(result.err, /ss\/word|pass%|p@ss|p%40ss/, name)
  }
  write(`rest:http://${USER}:${ENCODED}@127.0.0.1:${port}/`)
  server.kill()
  await once(server, 'exit')
  const gone = await storage.do('list', '', { env: { TEST_CLOCK: 'fast' } })
  t.equal(gone.code, 75, gone.err)
  for (const secret of SECRETS) t.notOk(gone.err.includes(secret))
})

t.test('a repository to which one may only add', { skip }, async t => {
  const { storage } = await withServer(t, '--append-only')
  t.equal((await storage.do('init')).code, 0)
  storage.makeBackup('2026-11-25T01-02-03Z', 100_000)
  storage.makeBackup('2026-11-26T01-02-03Z', 100_000)
  t.equal((await storage.do('push')).code, 0)
  const { code, json, err } = await storage.do('forget', '1')
  t.equal(code, 0, err)
  t.match(err, /old copies stay in .*this host may not take anything away.*restic forget --prune [0-9a-f]{8}/)
  t.equal(json.changes.length, 0)
  t.equal((await storage.names()).length, 2)
})
