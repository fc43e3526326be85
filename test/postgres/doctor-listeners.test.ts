import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { type Row, SoundHost } from '../support/broken-host.ts'
import { asBefore, data, listening, restarted } from '../support/broken-server.ts'
import { type Host, needsRoot } from '../support/host.ts'

/** Something at the server's port that is no PostgreSQL. */
let others: Server[] = []
async function occupy(host: Host): Promise<void> {
  for (const address of ['127.0.0.1', '::1']) {
    const server = createServer(socket => socket.destroy())
    server.listen(host.cluster.port, address)
    await once(server, 'listening')
    others.push(server)
  }
}
async function leave(): Promise<void> {
  for (const server of others) {
    server.close()
    await once(server, 'close')
  }
  others = []
}

/** Where the server has its socket and listens, and who else does. */
const ROWS: readonly Row[] = [
  {
    name: 'PostgreSQL is up, and has its socket in another folder',
    breaks: host => restarted(host, { unix_socket_directories: `'${host.cluster.socket}/..'` }),
    env: data,
    finds: ['socket-elsewhere'],
    says: /PostgreSQL \(pid \d+, data in .*\/data\) is up, and it has its socket for port \d+ in .*\/cluster\n.*\nset PGHOST=.*\/cluster; or set unix_socket_directories = /,
    restores: asBefore,
  },
  {
    name: 'PGHOST is another folder, and where the data is nobody says',
    breaks: () => {},
    env: () => ({ PGHOST: '/etc' }),
    finds: ['socket-elsewhere'],
    says: /is up, and it has its socket for port \d+ in .*\n.*\nset PGHOST=\S+\/run; or set unix_socket_directories/,
  },
  {
    name: 'PGPORT is another port, and where the data is nobody says',
    breaks: () => {},
    env: host => ({ PGPORT: '1', ENDOREG_DB_PORT: String(host.cluster.port) }),
    finds: ['socket-elsewhere'],
    says: /its socket for port \d+ in .*\n.*\nset PGPORT=\d+; or set port = 1 where its configuration has/,
  },
  {
    name: 'PGPORT is another port than that of the data',
    breaks: () => {},
    env: host => ({ ...data(host), PGPORT: '1', ENDOREG_DB_PORT: String(host.cluster.port) }),
    finds: ['socket-elsewhere'],
    says: /its socket for port \d+ in .*\n.*\nset PGPORT=\d+/,
  },
  {
    name: 'PostgreSQL is up, and somebody has removed its socket',
    breaks: host => rmSync(`${host.cluster.socket}/.s.PGSQL.${host.cluster.port}`),
    env: data,
    finds: ['socket-elsewhere'],
    says: /the file of its socket was removed from /,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL was killed, and what has its number by now is no server of that folder',
    breaks: async host => {
      const pidFile = join(host.cluster.data, 'postmaster.pid')
      const kept = readFileSync(pidFile, 'utf8')
      await host.cluster.stop()
      writeFileSync(pidFile, kept.replace(/^\d+/, String(process.pid)))
    },
    env: data,
    finds: ['server-down'],
    says: /no socket at /,
    restores: async host => {
      rmSync(join(host.cluster.data, 'postmaster.pid'))
      await asBefore(host)
    },
  },
  {
    name: 'PostgreSQL listens at IPv4 only, and localhost means ::1 first',
    breaks: host => restarted(host, { listen_addresses: "'127.0.0.1'" }),
    finds: ['address-not-served ::1'],
    says: /listen_addresses is '127\.0\.0\.1'/,
    restores: asBefore,
  },
  {
    name: 'PostgreSQL listens at no address',
    breaks: host => listening(host, ''),
    finds: ['address-not-served ::1, 127.0.0.1'],
    says: /listen_addresses is ''.*\n.*\n.*ALTER SYSTEM SET listen_addresses = '::1,127\.0\.0\.1'/,
    restores: asBefore,
  },
  {
    name: 'ENDOREG_DB_PORT is not the port of PostgreSQL',
    breaks: () => {},
    env: () => ({ ENDOREG_DB_PORT: '1' }),
    finds: ['address-not-served ::1, 127.0.0.1'],
    says: /nothing listens at ::1 or 127\.0\.0\.1 port 1, .*\n.*\nENDOREG_DB_PORT is 1, and the port of PostgreSQL \(PGPORT\) is \d+: correct/,
  },
  {
    name: 'PostgreSQL listens at IPv6 only',
    breaks: host => listening(host, '::1'),
    finds: ['address-not-served 127.0.0.1'],
    says: /nothing listens at 127\.0\.0\.1 port \d+.*listen_addresses is '::1'/,
    restores: asBefore,
  },
  {
    name: 'another program holds the port',
    breaks: async host => {
      await host.cluster.stop()
      await occupy(host)
      await listening(host, '')
    },
    finds: ['port-foreign'],
    says: /node \(pid \d+\) of the account root/,
    restores: async host => {
      await leave()
      await asBefore(host)
    },
  },
  {
    name: 'another program holds the port, and PostgreSQL does not run',
    breaks: async host => {
      await host.cluster.stop()
      await occupy(host)
    },
    env: data,
    finds: ['port-foreign'],
    says: /PostgreSQL cannot listen there/,
    restores: async host => {
      await leave()
      await asBefore(host)
    },
  },
]

t.test('who listens', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  t.teardown(leave)
  sound.rows(t, ROWS)
})
