import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort, until } from '../support/cluster.ts'
import { isRoot } from '../support/command.ts'
import { PrivateEtc } from '../support/private-etc.ts'
import { needsRestic, Storage, sameFolders } from '../support/remote.ts'

const SSHD = '/usr/sbin/sshd'
const skip =
  needsRestic.skip ||
  (isRoot ? false : 'needs root: an sshd of its own, and /etc/ssh') ||
  (existsSync(SSHD) && spawnSync('ssh', ['-V']).status === 0
    ? false
    : 'needs ssh and sshd (Debian: apt install openssh-server)')

/** A folder of this machine that is reached by SFTP only: an sshd of the test's own, and ssh's configuration for it. */
class Sftp {
  readonly storage: Storage
  readonly etc = new PrivateEtc()
  readonly port: number
  readonly #folder: string
  #server: ChildProcess | undefined

  private constructor(t: Test, port: number) {
    this.storage = new Storage(t)
    this.#folder = join(this.storage.folder, 'ssh')
    this.port = port
    mkdirSync(this.#folder, { mode: 0o700 })
    for (const key of ['host', 'client', 'other']) this.#keygen(key)
    writeFileSync(join(this.#folder, 'authorized'), readFileSync(join(this.#folder, 'client.pub')))
    this.etc.create(t)
    this.storage.env['RESTIC_REPOSITORY'] = `sftp://root@localhost:${port}/${this.storage.repository}`
    this.know(true)
    this.useKey('client')
    t.teardown(() => this.stop())
  }

  static async create(t: Test): Promise<Sftp> {
    const sftp = new Sftp(t, await freePort())
    await sftp.start()
    return sftp
  }

  #keygen(name: string): void {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.#folder, name)])
  }

  /** Says in the host's known_hosts what the server's key is, or nothing. */
  know(known: boolean, key = 'host'): void {
    const [type = '', value = ''] = readFileSync(join(this.#folder, `${key}.pub`), 'utf8').split(' ')
    this.etc.write('ssh/ssh_known_hosts', known ? `[localhost]:${this.port} ${type} ${value}\n` : '')
  }

  /** Says in ssh's configuration for the whole host, as an administrator would, which key to show. */
  useKey(key: string): void {
    const lines = [
      'Host localhost',
      `IdentityFile ${join(this.#folder, key)}`,
      'IdentitiesOnly yes',
      'UserKnownHostsFile /dev/null',
    ]
    this.etc.write('ssh/ssh_config', `${lines.join('\n')}\n`)
  }

  async start(): Promise<void> {
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
    const config = join(this.#folder, 'sshd_config')
    const options = {
      Port: this.port,
      ListenAddress: '127.0.0.1',
      HostKey: join(this.#folder, 'host'),
      AuthorizedKeysFile: join(this.#folder, 'authorized'),
      PidFile: 'none',
      PermitRootLogin: 'prohibit-password',
      PasswordAuthentication: 'no',
      KbdInteractiveAuthentication: 'no',
      StrictModes: 'no',
      UsePAM: 'no',
      Subsystem: 'sftp internal-sftp',
      ForceCommand: 'internal-sftp',
    }
    writeFileSync(
      config,
      Object.entries(options)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(''),
    )
    const server = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#server = server
    let said = ''
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await until(async () => {
      if (server.exitCode !== null) throw new Error(said)
      return said.includes('Server listening') || undefined
    }, 'sshd listens')
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, 'exit')
    server.kill()
    await ended
  }

  do(work: string, value = '') {
    return this.storage.do(work, value, { within: this.etc.prefix })
  }
}

t.test('a repository that is reached by SFTP', { skip }, async t => {
  const sftp = await Sftp.create(t)
  const { storage } = sftp
  const path = storage.makeBackup('2026-11-25T01-02-03Z', 3_000_000)
  const missing = await sftp.do('push')
  t.equal(missing.code, 78, missing.err)
  t.match(missing.json.error, { cause: 'there is no repository' })
  for (const work of ['init', 'push', 'check']) {
    const { code, err } = await sftp.do(work, '2026-11-23T00:00:00Z')
    t.equal(code, 0, err)
  }
  const into = join(storage.folder, 'fetched')
  const fetched = await sftp.do('fetch', into)
  t.equal(fetched.code, 0, fetched.err)
  t.ok(sameFolders(path, into))
  storage.makeBackup('2026-11-26T01-02-03Z', 3_000_000)
  t.equal((await sftp.do('push')).json.changes.length, 1)
  t.match((await sftp.do('forget', '1')).json.changes, [{ resource: /2026-11-25/ }])

  t.test('a host whose key is not known', async t => {
    sftp.know(false)
    const { code, json, err } = await sftp.do('push')
    t.equal(code, 78, err)
    t.match(json.error, { cause: "ssh does not know the key of the repository's host", hint: /ssh-keyscan/ })
  })
  t.test('a host with another key than before', async t => {
    sftp.know(true, 'other')
    const { code, json, err } = await sftp.do('push')
    t.equal(code, 78, err)
    t.match(json.error, { cause: /another one than before/, hint: /ssh_known_hosts/ })
    sftp.know(true)
  })
  t.test('a key that is not let in', async t => {
    sftp.useKey('other')
    const { code, json, err } = await sftp.do('push')
    t.equal(code, 77, err)
    t.match(json.error, { cause: /lets none of this host's keys in/, hint: /authorized_keys/ })
    sftp.useKey('client')
  })
  t.test('a host that is not there', async t => {
    await sftp.stop()
    const { code, json, err } = await sftp.do('push')
    t.equal(code, 75, err)
    t.match(json.error, { hint: /network/ })
  })
})

t.test('a network that breaks in the middle', { skip }, async t => {
  const sftp = await Sftp.create(t)
  const { storage } = sftp
  t.equal((await sftp.do('init')).code, 0)
  const path = storage.makeBackup('2026-11-25T01-02-03Z', 60_000_000)
  let packs = 0
  const pushing = sftp.do('push')
  await until(async () => {
    packs = storage.packs().length
    return packs > 0 || undefined
  }, 'a pack is there')
  for (const session of sessions(sftp.port)) process.kill(session, 'SIGKILL')
  const { code, err } = await pushing
  t.ok(code === 75 || code === 0, `${code}: ${err}`)
  const again = await sftp.do('push')
  t.equal(again.code, 0, again.err)
  const into = join(storage.folder, 'fetched')
  t.equal((await sftp.do('fetch', into)).code, 0)
  t.ok(sameFolders(path, into))
})

/** The processes of sshd that serve a connection to `port`. */
function sessions(port: number): number[] {
  const { stdout } = spawnSync('pgrep', ['-f', `^ssh .*-p ${port} `], { encoding: 'utf8' })
  return stdout.split('\n').filter(Boolean).map(Number)
}
