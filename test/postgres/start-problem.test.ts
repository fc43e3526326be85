import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { lastFailure } from '../../lib/server/log.ts'
import { startAdvice } from '../../lib/server/start-problem.ts'
import { until } from '../support/cluster.ts'
import { Host, needsRoot, runner } from '../support/host.ts'

/** Why a server does not start, and what is said of it. */
type Row = {
  readonly name: string
  /** Is done in the data folder; what it gives is done afterwards. */
  readonly breaks: (host: Host) => unknown
  readonly settings?: string
  /** What is quoted of the log. */
  readonly says: RegExp
  readonly remedy: RegExp
  /** Whether it is told of its settings as they are, too. */
  readonly inSettings?: true
  readonly skip?: string | false
}

const file = (host: Host, name: string): string => join(host.cluster.data, name)
const put = (host: Host, name: string, text: string, mode = 0o600): void => {
  writeFileSync(file(host, name), text, { mode })
  execFileSync('chown', ['--reference', host.cluster.data, file(host, name)])
}
const nothing = (): void => {}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

const ROWS: readonly Row[] = [
  {
    name: 'a syntax error in a file that is included',
    breaks: host => put(host, 'more.conf', "work_mem = '5MB'\nwork_mem 1 MB\n"),
    settings: "include 'more.conf'",
    says: /^LOG: {2}syntax error in file ".*more\.conf" line 2\nFATAL: {2}configuration file ".*" contains errors$/,
    remedy: /^$/,
  },
  {
    name: 'a locale that is gone',
    breaks: nothing,
    settings: "lc_messages = 'xx_XX.UTF-8'",
    says: /^LOG: {2}invalid value for parameter "lc_messages": "xx_XX\.UTF-8"$/m,
    remedy: /install the locale .*locale-gen.*or give that setting one/,
    inSettings: true,
  },
  {
    name: 'a time zone that is none',
    breaks: nothing,
    settings: "timezone = 'Mars/Base'",
    says: /parameter "TimeZone": "Mars\/Base"/,
    remedy: /time zone that is in .*tzdata/,
    inSettings: true,
  },
  {
    name: 'a data folder that others may enter',
    breaks: host => chmodSync(host.cluster.data, 0o755),
    says: /^FATAL: {2}data directory ".*" has invalid permissions\nDETAIL: .*0700/,
    remedy: /\(chmod 0700\)$/,
  },
  {
    name: 'no TLS certificate',
    breaks: nothing,
    settings: 'ssl = on',
    says: /could not load server certificate file "server\.crt": No such file/,
    remedy: /put it back where .* can read it, in the data folder.*ssl_cert_file/,
  },
  {
    name: 'a library that is missing',
    breaks: nothing,
    settings: "shared_preload_libraries = 'nosuch'",
    says: /^FATAL: {2}could not access file "nosuch": No such file/,
    remedy: /has the library, or take it out of shared_preload_libraries/,
  },
  {
    name: 'data of another version',
    breaks: host => put(host, 'PG_VERSION', '12\n'),
    says: /incompatible with server\nDETAIL: .*PostgreSQL version 12/,
    remedy: /have PostgreSQL 12 start it .*postgresql-12;.*pg_upgrade/,
  },
  {
    name: 'no settings',
    breaks: host => rmSync(file(host, 'postgresql.conf')),
    says: /^postgres: could not access the server configuration file ".*postgresql\.conf": No such file/,
    remedy: /put its configuration back: a backup has it/,
  },
  {
    name: 'access rules that it does not take',
    breaks: host => host.cluster.setRules('host all\n'),
    says: /CONTEXT: {2}line 1 of configuration file .*\nFATAL: {2}could not load .*pg_hba\.conf/,
    remedy: /correct the access rules/,
  },
  {
    name: 'no write-ahead log',
    breaks: host => {
      for (const name of readdirSync(file(host, 'pg_wal')))
        if (name.startsWith('0')) rmSync(file(host, `pg_wal/${name}`))
    },
    says: /^PANIC: {2}could not locate a valid checkpoint record/m,
    remedy: /keep a copy of the data folder as it is.*restore-postgres --list/,
  },
  {
    name: 'no control file',
    breaks: host => rmSync(file(host, 'global/pg_control')),
    says: /^postgres: could not find the database system/,
    remedy: /look whether its disk is mounted/,
  },
  {
    name: 'a control file that is empty',
    breaks: host => truncateSync(file(host, 'global/pg_control'), 0),
    says: /"global\/pg_control"/,
    remedy: /the data folder is not whole/,
  },
  {
    name: 'more memory than there is',
    breaks: nothing,
    settings: "shared_buffers = '900GB'",
    says: /^FATAL: {2}could not map anonymous shared memory: Cannot allocate memory\nHINT: /,
    remedy: /lower shared_buffers/,
  },
  {
    name: 'the data of a server that runs',
    breaks: host => {
      const { uid, gid } = runner()
      const other = spawn('sleep', ['infinity'], { uid, gid, stdio: 'ignore' })
      put(host, 'postmaster.pid', `${other.pid}\n${host.cluster.data}\n1\n1\n\n\n\n`)
      return () => other.kill()
    },
    says: /already exists\nHINT: .*\(PID \d+\)/,
    remedy: /see what that process is \(ps -fp \d+\)/,
  },
  {
    name: 'a TLS key that others may read',
    breaks: host => {
      const [certificate, key] = [file(host, 'server.crt'), file(host, 'server.key')]
      const made = ['req', '-new', '-x509', '-nodes', '-subj', '/CN=x', '-keyout', key, '-out', certificate]
      execFileSync('openssl', made, { stdio: 'ignore' })
      execFileSync('chown', ['--reference', host.cluster.data, certificate, key])
      chmodSync(key, 0o644)
    },
    settings: 'ssl = on',
    says: /^FATAL: {2}private key file "server\.key" has group or world access\nDETAIL: /,
    remedy: /\(chmod 0600\); it is in the data folder/,
    skip: hasOpenssl ? false : 'needs openssl, which makes a certificate',
  },
  {
    name: 'a file system that cannot be written',
    breaks: ({ cluster: { data } }) => {
      execFileSync('mount', ['--bind', data, data])
      execFileSync('mount', ['-o', 'remount,ro,bind', data])
      return () => execFileSync('umount', [data])
    },
    says: /^FATAL: .*Read-only file system$/m,
    remedy: /is mounted read-only.*dmesg/,
    skip: needsRoot.skip,
  },
  {
    name: 'a disk that is full',
    breaks: ({ cluster: { data } }) => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=120m,mode=700', 'tmpfs', data])
      execFileSync('cp', ['-a', `${data}.kept/.`, data])
      execFileSync('sh', ['-c', `cat /dev/zero >${data}/fill 2>/dev/null; true`])
      return () => execFileSync('umount', [data])
    },
    says: /No space left on device/,
    remedy: /^free some space/,
    skip: needsRoot.skip,
  },
  {
    name: 'no folder for the socket',
    breaks: nothing,
    settings: "unix_socket_directories = '/nosuch/run'",
    says: /could not create lock file "\/nosuch\/run\/\.s\.PGSQL\.\d+\.lock": No such file/,
    remedy: /make the folder of that file/,
  },
]

t.test('a server that does not start says why, and what to do is known', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const kept = `${cluster.data}.kept`
  /** Starts it in vain: it may end by a signal, too. */
  const start = async (): Promise<void> => {
    cluster.launch()
    const { pid } = cluster
    const ended = await until(async () => {
      if (!existsSync(`/proc/${pid}`)) return true
      return (await cluster.query('SELECT 1').catch(() => undefined)) ? false : undefined
    }, 'it has ended')
    if (!ended) throw new Error('it started')
  }
  const refused = async (): Promise<void> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: cluster.port,
      user: 'nobody-here',
      password: 'x',
    })
    await t.rejects(client.connect())
  }

  await refused()
  t.same(lastFailure(cluster.logText()), [], 'of a server that runs, what a client was told')
  await cluster.stop()
  t.match(cluster.logText(), /FATAL: {2}password authentication failed/)
  t.same(lastFailure(cluster.logText()), [], 'a server that was stopped has not failed')
  execFileSync('cp', ['-a', cluster.data, kept])

  for (const { name, breaks, settings, says, remedy, inSettings, skip = false } of ROWS) {
    t.test(name, { skip }, async t => {
      if (settings) appendFileSync(file(host, 'postgresql.conf'), `${settings}\n`)
      const mends = breaks(host)
      await start()
      const said = lastFailure(cluster.logText())
      t.match(said.join('\n'), says)
      t.notMatch(said.join('\n'), /nobody-here|password/)
      const advice = startAdvice(said, inSettings ? said : [])
      if (remedy.source === '^$') {
        t.equal(advice, undefined, 'of settings that are right by now nothing is said')
        t.match(startAdvice(said, ['syntax error']), /correct what it names/)
      } else t.match(advice, remedy)
      if (typeof mends === 'function') mends()
      rmSync(cluster.data, { recursive: true })
      execFileSync('cp', ['-a', kept, cluster.data])
    })
  }

  t.test('an address that another has', async t => {
    const other = createServer(socket => socket.destroy())
    other.listen(cluster.port, '127.0.0.1')
    await once(other, 'listening')
    cluster.configure({ listen_addresses: "'127.0.0.1'" })
    await start()
    other.close()
    const said = lastFailure(cluster.logText())
    t.match(
      said.join('\n'),
      /could not bind .*127\.0\.0\.1".*Address already in use\n.*FATAL: {2}could not create any/s,
    )
    t.match(startAdvice(said, []), /ss -ltnp/)
  })

  t.test('a server that was killed has said nothing, and what a client was told is no reason', async t => {
    rmSync(cluster.data, { recursive: true })
    execFileSync('cp', ['-a', kept, cluster.data])
    await cluster.start()
    await refused()
    await cluster.stop('SIGKILL')
    t.same(lastFailure(cluster.logText()), [])
    t.test('and what it does not start with after that, where it is known', async t => {
      chmodSync(cluster.data, 0o755)
      await start()
      t.match(lastFailure(cluster.logText()), [/has invalid permissions/])
      chmodSync(cluster.data, 0o700)
    })
  })

  t.test('prefixes of other hosts', async t => {
    for (const prefix of ['%m [%p] %q%u@%d ', '%t ', '[%p] ']) {
      rmSync(cluster.data, { recursive: true })
      execFileSync('cp', ['-a', kept, cluster.data])
      rmSync(cluster.log)
      cluster.configure({ log_line_prefix: `'${prefix}'` })
      await cluster.start()
      await refused()
      t.same(lastFailure(cluster.logText()), [], `${prefix}: it runs`)
      await cluster.stop()
      t.same(lastFailure(cluster.logText()), [], `${prefix}: it was stopped`)
      chmodSync(cluster.data, 0o755)
      await start()
      t.match(
        lastFailure(cluster.logText())[0],
        /^FATAL: {2}data directory ".*" has invalid permissions$/,
        prefix,
      )
    }
  })

  t.test('a client that may not log in, with a new line in its names', async t => {
    rmSync(cluster.data, { recursive: true })
    execFileSync('cp', ['-a', kept, cluster.data])
    rmSync(cluster.log)
    cluster.configure({ log_line_prefix: "'%m [%p] %q%u@%d '" })
    cluster.setRules('host all postgres 127.0.0.1/32 scram-sha-256\nhost all all all reject\n')
    await cluster.start()
    const { pid } = cluster
    await knock(cluster.port, 'b', `b\n[${pid}] FATAL:  data directory "/etc" has wrong ownership`)
    await cluster.stop()
    t.match(cluster.logText(), `\n[${pid}] FATAL:  data directory "/etc" has wrong`)
    t.same(lastFailure(cluster.logText()), [], 'a line that does not begin as those of the server')

    await cluster.start()
    const prefix = `2026-11-26 12:00:00.000 UTC [${cluster.pid}]`
    await knock(cluster.port, `\n${prefix} FATAL:  data directory "`, '/;evil" has wrong ownership\n')
    await cluster.stop()
    const said = lastFailure(cluster.logText())
    t.match(said.at(-1), /evil/, 'one that does is quoted')
    t.match(startAdvice(said, []), /give the data folder back/)
    t.notMatch(startAdvice(said, []), /evil/)
  })
})

/** Asks a server for a session (protocol 3.0, StartupMessage), and waits until it has refused it. */
async function knock(port: number, user: string, database: string): Promise<void> {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + body.length, 0)
  head.writeInt32BE(196_608, 4)
  const socket = connect(port, '127.0.0.1').resume()
  socket.write(Buffer.concat([head, body]))
  await once(socket, 'close')
}
