import t from 'tap'
import { logFiles, serverLines } from '../../lib/server/log.ts'

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

t.test('what of a log only the server says, in whatever language', async t => {
  const log = `2026-11-26 12:00:00 UTC [1] LOG:  starting PostgreSQL
2026-11-26 12:00:01 UTC [1] LOG:  listening
2026-11-26 12:00:02 UTC [2] me@db ERROR:  no such table
2026-11-26 12:00:02 UTC [2] me@db STATEMENT:  SELECT 'FATAL:  not that'
\tFATAL:  nor that
2026-11-26 12:00:02 UTC [2] me@db LOG:  statement: ALTER ROLE me PASSWORD 'FATAL:  x'
2026-11-26 12:00:03 UTC [1] LOG:  Anweisung: INSERT INTO patients VALUES ('FATAL:  y')
2026-11-26 12:00:04 UTC [1] FATAL:  could not listen
PANIC:  could not write
2026-11-26 12:00:05 UTC [1] LOG:  shut down
`
  t.same(serverLines(log), [
    '2026-11-26 12:00:04 UTC [1] FATAL:  could not listen',
    'PANIC:  could not write',
  ])
  t.same(serverLines(''), [])
})
