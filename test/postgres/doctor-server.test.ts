import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import t from 'tap'
import { diagnose } from '../../lib/doctor/diagnose.ts'
import { known } from '../../lib/doctor/facts/fact.ts'
import { type Facts, gather } from '../../lib/doctor/facts/gather.ts'
import { attemptLogins } from '../../lib/doctor/facts/passwords.ts'
import { Password } from '../../lib/frame/password.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { putTools, type Row, SoundHost } from '../support/broken-host.ts'
import { asBefore, data, MAJOR, restarted, settingsOf } from '../support/broken-server.ts'
import { nextSecond, SCRAM_RULES, until } from '../support/cluster.ts'
import { tools } from '../support/doctor/facts.ts'
import { type Host, needsRoot } from '../support/host.ts'
import { type Fate, proxy } from '../support/proxy.ts'

let sessions: pg.Client[] = []
async function crowd(host: Host, number: number): Promise<void> {
  for (let index = 0; index < number; index++) sessions.push(await host.cluster.connect())
}
async function disperse(): Promise<void> {
  await Promise.all(sessions.map(client => client.end()))
  sessions = []
}

const ROWS: readonly Row[] = [
  {
    name: 'PostgreSQL does not run',
    breaks: host => host.cluster.stop(),
    env: data,
    finds: ['server-down'],
    says: /no socket at .*, data of version \d+ is in/,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL was killed, and its socket is still there',
    breaks: async host => {
      await host.cluster.stop('SIGKILL')
    },
    env: data,
    finds: ['server-down'],
    says: /nothing listens at/,
    restores: async host => {
      await nextSecond()
      await asBefore(host)
    },
  },
  {
    name: 'PostgreSQL does not run, and its data folder was moved away',
    breaks: async host => {
      await host.cluster.stop()
      renameSync(host.cluster.data, `${host.cluster.data}.away`)
    },
    env: data,
    finds: ['server-down'],
    says: /no cluster in .*\/data, which is to be its data folder\n.*\nlook whether its disk is mounted/,
    restores: async host => {
      renameSync(`${host.cluster.data}.away`, host.cluster.data)
      await asBefore(host)
    },
  },
  {
    name: 'pg_hba.conf is not for the account of PostgreSQL any more',
    breaks: host => chownSync(join(host.cluster.data, 'pg_hba.conf'), 0, 0),
    finds: ['server-unreadable'],
    says: /could not open .*pg_hba\.conf.*\n.*\nLet the account of PostgreSQL read it: chown postgres:postgres \S+pg_hba\.conf;.*does not start again/,
    restores: asBefore,
  },
  {
    name: 'a session holds a lock on what every login reads',
    breaks: async host => {
      await crowd(host, 1)
      await sessions[0]?.query('BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE')
    },
    env: data,
    finds: ['server-not-ready'],
    says: /takes connections and does not answer\nnobody can log in, and the setup waits in vain\n.*idle in transaction/,
    restores: disperse,
  },
  {
    name: 'PostgreSQL does not run, because of a line in its access rules',
    breaks: async host => {
      await host.cluster.stop()
      host.cluster.setRules(`${SCRAM_RULES}host all\n`)
    },
    env: data,
    finds: ['server-down'],
    says: /no socket at /,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL does not start with its access rules, and only its own log says so',
    breaks: async host => {
      await restarted(host, { logging_collector: 'on', log_directory: "'own log'" })
      await host.cluster.stop()
      host.cluster.setRules(`${SCRAM_RULES}host all\n`)
      await host.cluster.start().catch(() => {})
    },
    env: data,
    finds: ['server-down'],
    says: /; its last start failed: .*FATAL: {2}could not load .*pg_hba\.conf.*correct the access rules where it names/s,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL does not start with its settings',
    breaks: async host => {
      await host.cluster.stop()
      copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
      appendFileSync(settingsOf(host), 'work_mem 1 MB\n')
    },
    env: host => ({ ...data(host), PATH: `${host.env['PATH']}:${process.env['TEST_POSTGRES_BIN']}` }),
    finds: ['server-down'],
    says: /; it does not take its settings: syntax error in file ".*postgresql\.conf" line \d+; configuration.*\ncorrect what it names/s,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL is recovering',
    breaks: async host => {
      await host.cluster.stop()
      copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
      host.cluster.configure({ hot_standby: 'off' })
      writeFileSync(join(host.cluster.data, 'standby.signal'), '')
      host.cluster.launch()
      await until(
        async () => existsSync(`${host.cluster.socket}/.s.PGSQL.${host.cluster.port}`) || undefined,
        'it runs',
      )
      await nextSecond()
    },
    env: data,
    finds: ['server-not-ready'],
    says: /not ready: .*\nnobody can log in yet/,
    restores: async host => {
      await host.cluster.stop('SIGQUIT')
      rmSync(join(host.cluster.data, 'standby.signal'))
      await asBefore(host)
    },
  },
  {
    name: 'a standby of nobody',
    breaks: async host => {
      await host.cluster.stop()
      writeFileSync(join(host.cluster.data, 'standby.signal'), '')
      await host.cluster.start()
    },
    finds: ['standby-alone'],
    says: /neither primary_conninfo nor restore_command is set\nthe API can write nothing/,
    restores: async host => {
      await host.cluster.stop()
      rmSync(join(host.cluster.data, 'standby.signal'))
      await asBefore(host)
    },
  },
  {
    name: 'a standby, which is advice',
    breaks: async host => {
      await host.cluster.stop()
      writeFileSync(join(host.cluster.data, 'standby.signal'), '')
      await restarted(host, { primary_conninfo: "'host=127.0.0.1 port=1'" })
    },
    finds: ['server-standby'],
    says: /it is in recovery: a standby/,
    restores: async host => {
      await host.cluster.stop()
      rmSync(join(host.cluster.data, 'standby.signal'))
      await asBefore(host)
    },
  },
  {
    name: 'many connections',
    breaks: host => crowd(host, 54),
    finds: ['connections-many'],
    says: /of 57 connections/,
    restores: disperse,
  },
  {
    name: 'all connections are taken',
    breaks: host => crowd(host, 60),
    env: data,
    finds: ['connections-exhausted'],
    says: /all connections are taken: .*\nthe API gets no connection either/,
    restores: disperse,
  },
  {
    name: 'all connections are taken but those that are kept for superusers',
    breaks: host => crowd(host, 57),
    finds: ['connections-exhausted'],
    says: /reserved for superusers \(superuser_reserved_connections\) are taken: remaining .*; \d+ of 57 connections are in use\n.*\n.*superuser_reserved_connections/,
    restores: disperse,
  },
  {
    name: 'all connections are taken but those that are kept for some roles',
    breaks: async host => {
      await restarted(host, { reserved_connections: '5' })
      await crowd(host, 52)
    },
    finds: ['connections-exhausted'],
    says: /reserved for roles of pg_use_reserved_connections \(reserved_connections\) are taken: .*\n.*\n.*of which reserved_connections are kept free/,
    skip: MAJOR < 16 ? 'reserved_connections is of PostgreSQL 16' : false,
    restores: async host => {
      await disperse()
      await asBefore(host)
    },
  },
  {
    name: 'settings that are not loaded',
    breaks: async host => {
      await nextSecond()
      host.cluster.configure({ work_mem: "'5MB'" })
    },
    finds: ['settings-not-loaded'],
    says: /changed after PostgreSQL has loaded it/,
    fix: 'reload',
    mended: true,
  },
  {
    name: 'a line in the settings that PostgreSQL does not take',
    breaks: async host => {
      copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
      appendFileSync(settingsOf(host), 'work_mem = plenty\n')
    },
    finds: ['settings-invalid'],
    says: /line \d+: .*work_mem/,
    restores: asBefore,
  },
  {
    name: 'a setting that waits for a restart',
    breaks: async host => {
      copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
      host.cluster.configure({ max_connections: '61' })
      await host.cluster.reload()
    },
    finds: ['restart-pending max_connections'],
    says: /needs a restart of PostgreSQL/,
    restores: asBefore,
  },
  {
    name: 'settings that wait for a restart: one was taken out, one is written in capitals',
    breaks: async host => {
      copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
      const text = readFileSync(settingsOf(host), 'utf8').replace(/^shared_buffers.*$/gm, '')
      writeFileSync(settingsOf(host), `${text}Max_Connections = 61\n`)
      await host.cluster.reload()
    },
    finds: ['restart-pending max_connections, shared_buffers'],
    says: /needs a restart of PostgreSQL/,
    restores: asBefore,
  },
  {
    name: 'the collation of template1 is of another version',
    breaks: host =>
      host.cluster.query("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'template1'"),
    finds: ['collation-version template1'],
    says: /made with version 1\.0 of its collation/,
    skip: MAJOR < 15 ? 'databases have collation versions since PostgreSQL 15' : false,
    restores: host => host.cluster.query('UPDATE pg_database SET datcollversion = NULL'),
  },
  {
    name: 'a database whose dropping was interrupted',
    breaks: host => host.cluster.query(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'devUser'`),
    finds: ['database-invalid devUser'],
    says: /dropping it was interrupted\n.*setup cannot provision.*\nDROP DATABASE "devUser", then: postgres-endoreg-setup/,
    restores: host =>
      host.cluster.query(`UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'devUser'`),
  },
  {
    name: "the dropping of the API's database was interrupted",
    breaks: host =>
      host.cluster.query(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'endoregDbLocal'`),
    finds: ['database-invalid endoregDbLocal'],
    says: /dropping it was interrupted\nthe API cannot log in\nDROP DATABASE "endoregDbLocal", then/,
    restores: host =>
      host.cluster.query(`UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'endoregDbLocal'`),
  },
  {
    name: 'databases whose locale is gone after an update',
    breaks: host =>
      host.cluster.query(
        `UPDATE pg_database SET datcollate = 'xx_XX.utf8', datctype = 'xx_XX.utf8' WHERE datname IN ('endoregDbLocal', 'devUser')`,
      ),
    finds: ['database-locale endoregDbLocal', 'database-locale devUser'],
    says: /locale is incompatible with operating system.*xx_XX\.utf8.*\nthe API cannot log in\ninstall that locale/,
    restores: host =>
      host.cluster.query(
        `UPDATE pg_database SET datcollate = 'C', datctype = 'C' WHERE datname IN ('endoregDbLocal', 'devUser')`,
      ),
  },
  {
    name: 'a database that takes no connections, which no backup can read',
    breaks: host => host.cluster.query('ALTER DATABASE "devUser" ALLOW_CONNECTIONS false'),
    finds: ['database-closed devUser'],
    says: /takes no connections.*\n.*backup-postgres leaves it out, and says so\nALTER DATABASE "devUser" WITH ALLOW/,
    restores: host => host.cluster.query('ALTER DATABASE "devUser" ALLOW_CONNECTIONS true'),
  },
  {
    name: 'a database whose folder is gone',
    breaks: async host => {
      const [row] = await host.cluster.query("SELECT oid FROM pg_database WHERE datname = 'devUser'")
      renameSync(join(host.cluster.data, `base/${row?.['oid']}`), join(host.cluster.data, 'away'))
    },
    finds: ['database-unusable devUser'],
    says: /subdirectory "base\/\d+" is missing.*\n.*leaves it out/,
    restores: async host => {
      const [row] = await host.cluster.query("SELECT oid FROM pg_database WHERE datname = 'devUser'")
      renameSync(join(host.cluster.data, 'away'), join(host.cluster.data, `base/${row?.['oid']}`))
    },
  },
  {
    name: 'more databases in doubt than are connected to: that of the application is, and the rest is said',
    breaks: host =>
      host.cluster.query(
        `UPDATE pg_database AS d SET datcollate = a, datctype = b
           FROM (SELECT oid, row_number() OVER (ORDER BY datname COLLATE "C") AS n FROM pg_database WHERE oid > 16383) AS o
           JOIN (SELECT a, b, row_number() OVER () AS n FROM unnest(ARRAY['C', 'POSIX', 'C.UTF-8', 'C.utf8']) AS a,
                        unnest(ARRAY['C', 'POSIX', 'C.UTF-8', 'C.utf8']) AS b WHERE (a, b) <> ('C', 'C')) AS l USING (n)
          WHERE o.oid = d.oid AND d.datname <> current_database()`,
      ),
    finds: [],
    says: /not looked at: whether anybody can connect to (?!.*endoregDbLocal).*testUser: of the databases that are in doubt no more than 8/,
    restores: host =>
      host.cluster.query(
        'UPDATE pg_database AS d SET datcollate = t.datcollate, datctype = t.datctype FROM pg_database AS t WHERE t.datname = $$template1$$',
      ),
  },
  {
    name: 'programs of another version than the server',
    breaks: host => putTools(host, '12.1'),
    finds: ['tool-version pg_dump', 'tool-version psql'],
    says: /is of version 12, the server of version \d+\n/,
    restores: host => putTools(host, `${MAJOR}.1`),
  },
  {
    name: 'there is no account of PostgreSQL',
    breaks: () => {},
    env: () => ({ ENDOREG_PG_OS_USER: 'nobody-here' }),
    finds: ['account-missing nobody-here'],
    says: /no account nobody-here\n.*\n.*ENDOREG_PG_OS_USER/,
  },
  {
    name: 'the disk of the vault is full',
    breaks: host => {
      const kept = readFileSync(host.vaultFile)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=750', 'tmpfs', host.vaultFolder])
      execFileSync('chown', ['admin:sensitiveServices', host.vaultFolder])
      writeFileSync(host.vaultFile, kept, { mode: 0o640 })
      execFileSync('chown', ['admin:sensitiveServices', host.vaultFile])
      try {
        writeFileSync(join(host.vaultFolder, 'fill'), Buffer.alloc(1_000_000))
      } catch {
        // It is full.
      }
    },
    finds: ['disk-full'],
    says: /the disk of vault has 0\.0 GiB \(0 %\)/,
    restores: host => execFileSync('umount', [host.vaultFolder]),
  },
]

t.test('the server, its settings and its disks', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  sound.rows(t, ROWS)

  t.test('a login that is answered late, as on a busy host, is none that failed', async t => {
    const { env, cluster } = sound.host
    const late = await proxy(t, cluster.port, async (): Promise<Fate> => {
      await nextSecond()
      await nextSecond()
      return 'forward'
    })
    const settings = { ...loadSettings(env, '/dev/null'), dbPort: late }
    const attempts = await attemptLogins(settings, ['127.0.0.1'], { vault: new Password(sound.host.vault()) })
    t.match(attempts, [{ outcome: { ok: true } }])
  })

  // What cannot be made for real here, or not without harm, is told to the pure functions.
  t.test('facts that are told', async t => {
    const gathered = await gather(loadSettings(sound.host.env, '/dev/null'))
    // This process has another PATH than the commands.
    const facts = { ...gathered, tools: tools(MAJOR) }
    const ids = (told: Partial<Facts>): string[] =>
      diagnose({ ...facts, ...told })
        .findings.map(({ id, subject }) => `${id} ${subject}`)
        .filter(id => !/^(?:checksums-off|server-end-of-life|backup-none)/.test(id))
    t.same(ids({}), [], 'nothing is wrong with what was gathered')
    if (facts.server.state !== 'up') throw new Error('it is not up')
    const { server } = facts
    const self = server.self.known ? server.self.value : undefined
    const ended = diagnose({ ...facts, now: new Date('2031-01-01') }).findings.map(({ id }) => id)
    t.ok(ended.includes('server-end-of-life'), 'a version that gets no corrections any more')
    t.same(ids({ now: new Date('1970-01-01') }), ['clock-off clock'])
    t.same(ids({ synchronised: known(false) }), ['clock-unsynchronised clock'])
    t.same(
      ids({ server: { ...server, major: 12 }, tools: tools(undefined) }),
      [`server-unsupported ${self?.version}`],
      'an old version',
    )
    t.same(ids({ server: { ...server, major: 99 }, tools: tools(99) }), [
      `server-unsupported ${self?.version}`,
    ])
    const inStore = { path: '/nix/store/0-secret', mode: 0o100444 }
    t.same(ids({ vaultTarget: inStore }), [`vault-in-store ${sound.host.vaultFile}`])
    t.same(ids({ names: { ...facts.names, ipv6: false } }), ['ipv6-off ::1'])
  })
})
