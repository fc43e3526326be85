import { known, unknown } from '../../../lib/doctor/facts/fact.ts'
import { SILENCE } from '../../../lib/doctor/facts/words.ts'
import type { Case } from './cases.ts'
import {
  accounts,
  BROKEN,
  cluster,
  DENIED,
  HBA,
  notUp,
  problem,
  refusedTwice,
  SECONDS,
  settings,
  units,
  up,
} from './facts.ts'

const LATE = unknown('timedatectl: it did not end within 30 s')

const PORT = 'port 5432'
const ABSENT = notUp('absent', undefined, 'there is no socket at /run/postgresql port 5432')
const NOBODY = refusedTwice(undefined, 'nothing listens there', 'absent')
const STRANGER = known({ account: 'mallory', process: { pid: 7, name: 'nc' } })

/** The server itself. */
export const SERVER: readonly Case[] = [
  {
    name: 'no server, and of its logins, roles and versions nothing is said',
    told: {
      ...ABSENT,
      ...NOBODY,
      agreement: { copyIsVault: true, vaultIsVerifier: undefined, copyIsVerifier: undefined },
    },
    finds: [`error server-down (${PORT}) start`],
    says: /no socket at .*, data of version 16 is in \/var\/lib\/postgresql\/16\/main$.*systemctl start postgresql/ms,
  },
  {
    name: 'no server and no systemd, with data that nobody has found',
    told: { ...ABSENT, ...NOBODY, systemd: false, data: undefined, rules: BROKEN, units: BROKEN },
    finds: [`error server-down (${PORT})`],
    says: /no socket at \/run\/postgresql port 5432$.*start PostgreSQL; its log says why/ms,
    unseen: ['units: the device reports an input/output error'],
  },
  {
    name: 'no server on another host, beside which that of this host is no matter',
    told: {
      ...notUp('absent', undefined, 'nothing listens at 192.0.2.7 port 5432'),
      ...NOBODY,
      settings: { ...settings, host: '192.0.2.7' },
      agreement: { copyIsVault: true, vaultIsVerifier: undefined, copyIsVerifier: undefined },
    },
    finds: [`error server-down (${PORT})`],
    says: /nothing listens at 192\.0\.2\.7 port 5432$.*remedy: start PostgreSQL on 192\.0\.2\.7, or correct PGHOST$/ms,
  },
  {
    name: 'no server at that port, and one at another: a setting is wrong',
    told: {
      server: {
        state: 'absent',
        problem: {
          ...problem(undefined, 'there is no socket', 'absent'),
          instead: 'PGPORT is 5432: set it to 5433',
        },
      },
      ...NOBODY,
      data: undefined,
      agreement: { copyIsVault: true, vaultIsVerifier: undefined, copyIsVerifier: undefined },
    },
    finds: [`error server-down (${PORT})`],
    says: /remedy: PGPORT is 5432: set it to 5433$/m,
  },
  {
    name: 'no PostgreSQL on the host at all, and no account of it',
    told: {
      server: { state: 'unasked', ...BROKEN },
      ...NOBODY,
      ...accounts({ postgres: undefined }),
      ...units({ 'postgresql.service': { load: 'not-found', active: 'inactive' } }),
      data: undefined,
      programs: false,
    },
    finds: ['error server-missing (PostgreSQL)'],
    says: /no unit, no program and no data folder.*remedy: install PostgreSQL \(Debian: apt install postgresql; NixOS/s,
  },
  {
    name: 'no PostgreSQL on the host, and an account that it has left there',
    told: {
      ...ABSENT,
      ...NOBODY,
      ...units({ 'postgresql.service': { load: 'not-found', active: 'inactive' } }),
      data: undefined,
      programs: false,
    },
    finds: ['error server-missing (PostgreSQL)'],
  },
  {
    name: 'no unit of PostgreSQL, but its programs: it may be started by something else',
    told: {
      ...ABSENT,
      ...NOBODY,
      ...units({ 'postgresql.service': { load: 'not-found', active: 'inactive' } }),
      data: undefined,
    },
    finds: [`error server-down (${PORT}) start`],
  },
  {
    name: 'a server that does not start, and said why in its own log',
    told: {
      ...ABSENT,
      ...units({ 'postgresql.service': { active: 'failed' } }),
      words: { log: ['FATAL:  no rest', 'DETAIL:  none'], settings: [], unheard: [] },
    },
    finds: [`error server-down (${PORT}) start`],
    says: /; its last start failed: FATAL: {2}no rest \| DETAIL: {2}none$.*remedy: systemctl start postgresql; if it fails/ms,
  },
  {
    name: 'a server that did not start with what was there, which may be mended by now',
    told: {
      ...ABSENT,
      words: {
        log: ['FATAL:  could not access file "x": No such file or directory'],
        settings: [],
        unheard: [],
      },
    },
    finds: [`error server-down (${PORT}) start`],
    says: /failed: FATAL: .*remedy: install the package .* library, .*; then: systemctl start postgresql \(fix-/ms,
  },
  {
    name: 'a server of Patroni that does not start with what is there',
    told: {
      ...ABSENT,
      patroni: 'patroni.service is active',
      words: {
        log: ['FATAL:  data directory "/x" has invalid permissions', 'DETAIL:  (0700)'],
        settings: [],
        unheard: [],
      },
    },
    finds: [`error server-down (${PORT})`, 'notice server-patroni (PostgreSQL)'],
    says: /remedy: take the rights .*\(chmod 0700\); then: systemctl start patroni$/m,
  },
  {
    name: 'a server that was ended for want of memory, and may be started',
    told: {
      ...ABSENT,
      words: { log: ["x.service: Failed with result 'oom-kill'."], settings: [], unheard: [] },
    },
    finds: [`error server-down (${PORT}) start`],
    says: /remedy: see what took the memory: .*; then: systemctl start postgresql \(fix-/m,
  },
  {
    name: 'a server whose settings were corrected since it did not start',
    told: {
      ...ABSENT,
      words: { log: ['FATAL:  configuration file "/x" contains errors'], settings: [], unheard: [] },
    },
    finds: [`error server-down (${PORT}) start`],
    says: /contains errors$.*remedy: systemctl start postgresql; if/ms,
  },
  {
    name: 'a server that does not take its settings, of which it names many',
    told: { ...ABSENT, words: { log: [], settings: ['one', 'two', 'three', 'four'], unheard: [] } },
    finds: [`error server-down (${PORT})`],
    says: /main; it does not take its settings: one; two; three$.*remedy: correct what it names there, or take it out; then: systemctl start/ms,
  },
  {
    name: 'no server, because another program has its port',
    told: {
      ...ABSENT,
      ...refusedTwice(undefined, 'it closed the connection', 'starting'),
      foreign: STRANGER,
    },
    finds: [`error port-foreign (${PORT})`],
    says: /nc \(pid 7\) of the account mallory listens at it.*set PGPORT/s,
  },
  {
    name: 'another program beside a server that is up, whose process cannot be seen',
    told: {
      ...refusedTwice(undefined, 'x', 'starting'),
      foreign: known({ account: 'root' }),
    },
    finds: [`error port-foreign (${PORT})`],
    says: /another process of the account root listens/,
  },
  {
    name: 'who listens cannot be seen',
    told: { foreign: BROKEN },
    finds: [],
    unseen: ['who listens at port 5432: the device reports an input/output error'],
  },
  {
    name: 'our own server is up, with its socket in another folder',
    told: {
      ...ABSENT,
      ...NOBODY,
      elsewhere: { data: '/var/lib/postgresql/16/main', pid: 7, port: 5432, folder: '/tmp' },
    },
    finds: ['error socket-elsewhere (/run/postgresql port 5432)'],
    says: /\(pid 7, data in \/var\/lib\/postgresql\/16\/main\) is up, and it has its socket for port 5432 in \/tmp$.*set PGHOST=\/tmp; or set unix_socket_directories = '\/run\/postgresql'/ms,
  },
  {
    name: 'our own server is up, with its socket in a folder that nobody should type',
    told: {
      ...ABSENT,
      ...NOBODY,
      elsewhere: { data: '/var/lib/postgresql/16/main', pid: 7, port: 5432, folder: '/tmp/$(id)' },
    },
    finds: ['error socket-elsewhere (/run/postgresql port 5432)'],
    says: /remedy: set unix_socket_directories = '\/run\/postgresql'/,
  },
  {
    name: 'our own server is up, with another port, or without a socket',
    told: {
      ...ABSENT,
      ...NOBODY,
      elsewhere: { data: '/var/lib/postgresql/16/main', pid: 7, port: 5433, folder: '/run/postgresql' },
    },
    finds: ['error socket-elsewhere (/run/postgresql port 5432)'],
    says: /remedy: set PGPORT=5433; or set port = 5432 where its configuration has 5433/m,
  },
  {
    name: 'our own server is up, without any socket, on NixOS',
    told: {
      ...ABSENT,
      ...NOBODY,
      nixos: true,
      elsewhere: { data: '/var/lib/postgresql/16/main', pid: 7, port: 5432, folder: '' },
    },
    finds: ['error socket-elsewhere (/run/postgresql port 5432)'],
    says: /it has no socket$.*services\.postgresql\.settings\.unix_socket_directories/ms,
  },
  {
    name: 'our own server is up, and somebody has removed its socket',
    told: {
      ...ABSENT,
      ...NOBODY,
      elsewhere: { data: '/var/lib/postgresql/16/main', pid: 7, port: 5432, folder: '/run/postgresql' },
    },
    finds: ['error socket-elsewhere (/run/postgresql port 5432)'],
    says: /the file of its socket was removed.*remedy: systemctl restart postgresql$/ms,
  },
  {
    name: 'an empty cluster beside that with the data, of which nothing else is said',
    told: {
      ...refusedTwice('wrong password', 'PostgreSQL refused the password'),
      agreement: { copyIsVault: true, vaultIsVerifier: undefined, copyIsVerifier: undefined },
      server: up(
        {},
        {
          cluster: known(cluster({ roles: new Map(), databases: new Map(), holding: false })),
          contents: known(undefined),
        },
      ),
      needs: undefined,
      other: { path: '/var/lib/postgresql/15/main', major: '15', port: 5432 },
    },
    finds: ['error cluster-other (/var/lib/postgresql/15/main)'],
    says: /is empty, while the cluster of version 15 in \S+15\/main \(port 5432\) has had endoregDbLocal.*systemctl start postgresql@15-main.*CREATE DATABASE "endoregDbLocal"/s,
  },
  {
    name: 'another cluster, in a folder with a name that the account of PostgreSQL has chosen for who pastes it',
    told: {
      server: up(
        {},
        {
          cluster: known(cluster({ roles: new Map(), databases: new Map(), holding: false })),
          contents: known(undefined),
        },
      ),
      needs: undefined,
      other: { path: '/var/lib/postgresql/15/x;id', major: '15', port: 5432 },
    },
    finds: ['error cluster-other (/var/lib/postgresql/15/x;id)'],
    says: /remedy: Stop this one and let its version of PostgreSQL serve that folder again, or bring its data over: pg_upgrade\. Where/s,
  },
  {
    name: 'a server that is starting, and keeps the API waiting for that',
    told: {
      ...notUp('starting', undefined, 'PostgreSQL is not ready: the database system is starting up'),
      ...refusedTwice(undefined, 'not ready', 'starting'),
    },
    finds: ['error server-not-ready (PostgreSQL)'],
    says: /nobody can log in yet/,
  },
  {
    name: 'all connections are taken, also those that the API would have',
    told: {
      ...notUp('starting', 'connections taken', 'all connections are taken: sorry'),
      ...refusedTwice('connections taken', 'sorry', 'starting'),
    },
    finds: ['error connections-exhausted (PostgreSQL)'],
    says: /the API gets no connection either/,
  },
  {
    name: 'a subscription that went with a database that was put aside',
    told: { server: up({ aside: [{ database: 'endoreg-kept-1', subscription: 'lab' }] }) },
    finds: ['warning subscription-aside (lab in endoreg-kept-1)'],
    says: /in endoreg-kept-1: ALTER SUBSCRIPTION "lab" DISABLE/,
  },
  {
    name: 'an administrator who is not let in',
    told: notUp('refused', 'refused by rules', 'PostgreSQL does not let this role in'),
    finds: ['error administrator-refused (postgres)'],
    says: /the setup cannot provision/,
  },
  {
    name: 'an ordinary account is no administrator, which is nothing wrong',
    told: { ...notUp('refused', 'refused by rules', 'peer authentication failed'), root: false },
    finds: [],
    unseen: ['roles and databases: peer authentication failed (run it as root)'],
  },
  {
    name: 'an administrator who is no superuser, of whose catalogs nothing more is said',
    told: { server: up({}, { self: DENIED, cluster: DENIED, contents: known(undefined) }) },
    finds: ['error administrator-refused (postgres)'],
  },
  {
    name: 'a file that PostgreSQL cannot read any more, which is no missing right of the administrator',
    told: {
      server: up({}, { self: unknown('could not open it', 'Let it in.', true), rules: BROKEN }),
      rules: BROKEN,
    },
    finds: ['error server-unreadable (PostgreSQL)'],
    says: /it lets postgres in, and could not open it.*remedy: Let it in\./s,
    unseen: ['the access rules: the device reports an input/output error'],
  },
  {
    name: 'a standby of nobody, as a restore may leave it',
    told: { server: up({ alone: true }, { cluster: known(cluster({ inRecovery: true })) }) },
    finds: ['error standby-alone (PostgreSQL)'],
    says: /standby\.signal is in its data folder.*can write nothing.*SELECT pg_promote\(\)/s,
  },
  {
    name: 'a standby of nobody that Patroni has yet to tell whom to follow',
    told: {
      server: up({ alone: true }, { cluster: known(cluster({ inRecovery: true })) }),
      patroni: 'patroni.service is active',
    },
    finds: ['notice server-patroni (PostgreSQL)', 'notice server-standby (PostgreSQL)'],
  },
  {
    name: 'a server that takes connections and does not answer',
    told: { ...notUp('starting', 'no answer', 'x takes connections and does not answer'), ...NOBODY },
    finds: ['error server-not-ready (PostgreSQL)'],
    says: /does not answer$.*it means: nobody can log in, and the setup waits in vain$/ms,
  },
  {
    name: 'no server, and no data folder where its configuration says: to start it is no remedy',
    told: { ...ABSENT, ...NOBODY, data: undefined, missingData: '/data/16' },
    finds: [`error server-down (${PORT})`],
    says: /no cluster in \/data\/16, which is to be.*whether its disk is mounted \(findmnt\).*\(ls \/data\)/s,
  },
  {
    name: 'the same for an ordinary account',
    told: { server: up({}, { self: DENIED, cluster: DENIED, contents: known(undefined) }), root: false },
    finds: [],
    unseen: ['PostgreSQL: permission denied'],
  },
  {
    name: 'a server that there is no way to ask',
    told: { server: { state: 'unasked', ...BROKEN, hint: '' } },
    finds: ['error administrator-refused (postgres)'],
    says: /look at PGHOST, PGUSER and ENDOREG_PG_OS_USER/,
  },
  {
    name: 'a server that cannot be asked for want of its account, which is a finding already',
    told: { server: { state: 'unasked', ...BROKEN }, ...accounts({ postgres: undefined }) },
    finds: ['error account-missing (postgres)'],
  },
  {
    name: 'a server that root itself is denied',
    told: { server: { state: 'unasked', ...DENIED } },
    finds: ['error administrator-refused (postgres)'],
    says: /remedy: Run it as root\./,
  },
]

/** Settings, collations, the clock, versions, disks. */
export const SETTINGS: readonly Case[] = [
  {
    name: 'a line that PostgreSQL does not take, so the rest is not loaded either',
    told: {
      server: up({
        settingErrors: [{ file: '/x/postgresql.conf', line: 7, message: 'work_mem: invalid value' }],
        files: [{ path: '/x/postgresql.conf', kind: 'settings', changed: SECONDS - 1 }],
      }),
    },
    finds: ['warning settings-invalid (/x/postgresql.conf)'],
    says: /line 7: work_mem: invalid value/,
  },
  {
    name: 'an error of which PostgreSQL does not say where it is',
    told: { server: up({ settingErrors: [{ file: null, line: null, message: 'too deep' }] }) },
    finds: ['warning settings-invalid (postgresql.conf)'],
    says: /line \?: too deep/,
  },
  {
    name: 'settings that are not loaded, and rules that are not',
    told: {
      server: up({
        files: [
          { path: '/x/postgresql.conf', kind: 'settings', changed: SECONDS },
          { path: '/x/conf.d/a.conf', kind: 'settings', changed: SECONDS },
          { path: HBA, kind: 'hba', changed: SECONDS },
          { path: '/x/pg_ident.conf', kind: 'ident', changed: SECONDS },
        ],
      }),
    },
    finds: [
      `warning rules-not-loaded (${HBA}, /x/pg_ident.conf) reload`,
      'warning settings-not-loaded (/x/postgresql.conf, /x/conf.d/a.conf) reload',
    ],
    says: /systemctl reload postgresql/,
  },
  {
    name: 'a restart that is due, which is advice',
    told: { server: up({ pendingRestart: ['max_connections', 'shared_buffers'] }) },
    finds: ['notice restart-pending (max_connections, shared_buffers)'],
    says: /systemctl restart postgresql/,
  },
  {
    name: 'collations of other versions',
    told: {
      server: up({
        collations: [
          { database: 'a', stored: '1.0', actual: '2.36' },
          { database: 'b', stored: '1.0', actual: null },
        ],
      }),
    },
    finds: ['warning collation-version (a)', 'warning collation-version (b)'],
    says: /the system has 2\.36[\s\S]*the system has none[\s\S]*ALTER DATABASE "b" REFRESH COLLATION VERSION/,
  },
  {
    name: 'no checksums, which is advice',
    told: { server: up({ checksums: false }) },
    finds: ['notice checksums-off (data_checksums)'],
    says: /pg_checksums --enable/,
  },
  {
    name: 'a clock that follows nobody, which is advice',
    told: { synchronised: known(false) },
    finds: ['notice clock-unsynchronised (clock)'],
    says: /timedatectl set-ntp true/,
  },
  { name: 'a clock of which systemd says nothing', told: { synchronised: known(undefined) }, finds: [] },
  {
    name: 'a clock that is off follows nobody either',
    told: { synchronised: known(false), server: up({ now: SECONDS - 3600 }) },
    finds: ['warning clock-off (clock)'],
    says: /PostgreSQL's clock differs by 3600 s/,
  },
  {
    name: 'a clock that has lost its time, on a host without a server',
    told: { ...ABSENT, attempts: [], now: new Date('1970-01-01T00:00:00Z') },
    finds: [
      `error server-down (${PORT}) start`,
      'warning clock-off (clock)',
      'notice backup-future (2026-11-26T02-00-00Z)',
    ],
    says: /it says 1970-01-01T00:00:00\.000Z, which is long past/,
  },
  {
    name: 'a clock of which systemd does not answer',
    told: { synchronised: LATE },
    finds: [],
    unseen: ['whether the clock follows a time server: timedatectl: it did not end within 30 s'],
  },
  {
    name: 'a program that does not say its version',
    told: { tools: { psql: BROKEN, pg_dump: known(16) } },
    finds: [],
    unseen: ['the version of psql: the device reports an input/output error'],
  },
  {
    name: 'a server that is down, whose journal and data folder tell nothing',
    told: {
      ...ABSENT,
      words: { ...SILENCE, unheard: [{ what: 'the journal of PostgreSQL', why: LATE.why }] },
      unheard: [{ what: 'where the data of PostgreSQL is', why: BROKEN.why }],
    },
    finds: [`error server-down (${PORT}) start`],
    unseen: [
      'where the data of PostgreSQL is: the device reports an input/output error',
      `the journal of PostgreSQL: ${LATE.why}`,
    ],
  },
  {
    name: 'disks that cannot be measured',
    told: { disks: BROKEN },
    finds: [],
    unseen: ['free space: the device reports an input/output error'],
  },
]
