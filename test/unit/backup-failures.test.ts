import t from 'tap'
import { explain, isLocked, isMissing } from '../../lib/backup/restic/failure.ts'
import type { Ended } from '../../lib/backup/restic/program.ts'
import { programFailure } from '../../lib/server/problem.ts'
import { aRun } from '../support/shelf.ts'

t.test("what the last words of PostgreSQL's programs mean", async t => {
  const cases: readonly (readonly [said: string, code: number, hint: RegExp])[] = [
    ['pg_dump: error: could not write: No space left on device', 74, /df -h/],
    ['pg_dump: error: could not write: Disk quota exceeded', 74, /df -h/],
    ['pg_dump: error: could not read: Input/output error', 74, /dmesg/],
    ['pg_dump: error: ERROR:  invalid page in block 0 of relation base/5/1', 74, /data itself is damaged/],
    ['pg_dump: error: ERROR:  could not read block 1 in file "x"', 74, /data itself is damaged/],
    ['pg_dump: error: ERROR:  missing chunk number 0 for toast value 1', 74, /data itself is damaged/],
    ['pg_dump: error: ERROR:  unexpected chunk number 1', 74, /data itself is damaged/],
    ['pg_dump: error: ERROR:  compressed pglz data is corrupt', 74, /data itself is damaged/],
    ['pg_dump: error: connection to server on socket "/s" failed: refused', 75, /journalctl/],
    ['pg_dump: error: server closed the connection unexpectedly', 75, /journalctl/],
    ['pg_dump: error: FATAL:  terminating connection due to administrator command', 75, /journalctl/],
    ['pg_dump: error: FATAL:  the database system is shutting down', 75, /journalctl/],
    ['pg_dump: error: query failed: ERROR:  permission denied for table t', 77, /PGUSER/],
    ['pg_dump: error: ERROR:  canceling statement due to lock timeout', 75, /pg_locks/],
    ['pg_dump: error: something new', 74, /Run it again/],
    ['', 74, /Run it again/],
  ]
  for (const [said, code, hint] of cases)
    t.match(programFailure('do it', said, null), { code, message: 'do it', hint }, said)
  const both = 'pg_dump: error: write: No space left on device\npg_dump: error: server closed the connection'
  t.equal(programFailure('x', both, null).code, 74, 'from the cause to what it brings about')
  t.equal(
    programFailure('x', 'pg_dump: warning: w\npg_dump: error: the reason\npg_dump: detail: d', null).reason,
    'pg_dump: error: the reason',
  )
  t.equal(programFailure('x', 'first\nlast', null).reason, 'last')
  t.equal(programFailure('x', '', null).reason, 'it ended without a word')
  t.match(programFailure('x', 'pg_dump: error: e', 'SIGTERM'), {
    code: 74,
    reason: 'it was ended by SIGTERM',
  })
})

const remote = { run: aRun({}), shown: 'the repository', env: {}, scrub: (text: string) => text }
const ended = (code: number, ...said: string[]): Ended => ({
  code,
  signal: null,
  out: '',
  said,
  stuck: undefined,
})

t.test('what the rest of restic means', async t => {
  const cases: readonly (readonly [said: string, code: number, hint: RegExp])[] = [
    ['Fatal: exec: "ssh": executable file not found in $PATH', 69, /openssh-client/],
    ['subprocess ssh: Host key verification failed.', 78, /ssh-keyscan/],
    [
      'subprocess ssh: No ED25519 host key is known for h and you have requested strict checking.',
      78,
      /ssh-keyscan/,
    ],
    ['subprocess ssh: u@h: Permission denied (publickey,password).', 77, /authorized_keys/],
    ['subprocess ssh: u@h: Permission denied (password).', 77, /authorized_keys/],
    ['subprocess ssh: u@h: Permission denied (keyboard-interactive).', 77, /authorized_keys/],
    ['Fatal: Head "https://h/": remote error: tls: bad certificate', 78, /RESTIC_CACERT/],
    ['Fatal: invalid backend', 78, /Preparing a new repository/],
    ['Fatal: write: disk quota exceeded', 74, /Free some space/],
    ['Fatal: rest: not enough free space', 74, /Free some space/],
    ['Fatal: unexpected HTTP response (401): 401 Unauthorized', 77, /Let this host read and write/],
    ['Fatal: server response unexpected: 403 Forbidden (403)', 77, /Let this host read and write/],
    ['Fatal: Stat: Access Denied.', 77, /Let this host read and write/],
    ['Fatal: The AWS access key Id: InvalidAccessKeyId', 77, /AWS_SHARED_CREDENTIALS_FILE/],
    ['Fatal: SignatureDoesNotMatch', 77, /AWS_SHARED_CREDENTIALS_FILE/],
    ['Fatal: open /r/data: permission denied', 77, /Let this host read and write/],
    ['Fatal: remove /r/data: operation not permitted', 77, /Let this host read and write/],
    ['Fatal: mkdir /r/x: read-only file system', 73, /Remount/],
    ['Fatal: dial tcp: i/o timeout', 75, /network/],
    ['Fatal: dial tcp: network is unreachable', 75, /network/],
    ['Fatal: dial tcp: no route to host', 75, /network/],
    ['Fatal: dial tcp: lookup h: no such host', 75, /network/],
    ['Fatal: lookup h: Temporary failure in name resolution', 75, /network/],
    ['Fatal: lookup h: server misbehaving', 75, /network/],
    ['Fatal: write: broken pipe', 75, /network/],
    ['Fatal: unexpected EOF', 75, /network/],
    ['Fatal: 503 Service Unavailable', 75, /network/],
    ['Fatal: read /r/x: input/output error', 74, /repository is damaged/],
    ['Fatal: unable to load index 5', 74, /repository is damaged/],
    ['Fatal: id 5 not found in repository', 74, /repository is damaged/],
    ['Fatal: hash mismatch', 74, /repository is damaged/],
    ['Fatal: invalid data returned', 74, /repository is damaged/],
    ['Fatal: unsupported repository version', 69, /newer restic/],
    ['unknown flag: --no-lock', 69, /newer restic/],
    ['unknown command "x" for "restic"', 69, /newer restic/],
  ]
  for (const [said, code, hint] of cases)
    t.match(explain(remote, ended(1, said), 'do it'), { code, hint }, said)
  t.match(explain(remote, ended(12), 'x'), { code: 78 }, 'by the exit code alone')
  t.match(explain(remote, ended(10), 'x'), { code: 78, hint: /--init-remote/ })
  t.match(explain(remote, ended(11), 'x'), { code: 75 })
  const by = explain(remote, { ...ended(1), code: null, signal: 'SIGKILL' }, 'x')
  t.match(by, { code: 74, reason: 'restic ended by SIGKILL and said nothing' })
  t.ok(isLocked(ended(1, 'unable to create lock in backend: it is locked')))
  t.notOk(isLocked(ended(1)))
  t.ok(isMissing(ended(1, 'Is there a repository at the following location?')))
  for (const code of [1, 11, 12]) t.notOk(isMissing(ended(code)), `${code}`)
})
