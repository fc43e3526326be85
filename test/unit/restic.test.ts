import t from 'tap'
import { explain, isLocked, isMissing } from '../../lib/backup/restic/failure.ts'
import { type Ended, packsIn, wordsIn } from '../../lib/backup/restic/program.ts'
import { partOf } from '../../lib/backup/restic/push.ts'
import { Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { Interruption } from '../../lib/frame/interruption.ts'
import { Report } from '../../lib/frame/report.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'

const DAY = 86_400_000

t.test('four weeks make a round, whatever the year', async t => {
  t.equal(
    partOf(new Date('2026-11-23T00:00:00Z')),
    partOf(new Date('2026-11-29T23:59:59Z')),
    'Monday to Sunday',
  )
  for (let day = Date.parse('2026-01-01T02:00:00Z'); day < Date.parse('2033-01-01'); day += 7 * DAY) {
    const parts = [0, 1, 2, 3].map(week => partOf(new Date(day + week * 7 * DAY)))
    t.same([...parts].sort(), [1, 2, 3, 4], new Date(day).toISOString())
  }
  t.ok(partOf(new Date('1970-01-01')) >= 1)
})

t.test('what restic says, with and without documents', async t => {
  t.same(wordsIn('Fatal: wrong password or no key found'), ['Fatal: wrong password or no key found'])
  t.same(wordsIn('{"message_type":"exit_error","code":10,"message":"Fatal: one\\ntwo\\n"}'), [
    'Fatal: one',
    'two',
  ])
  t.same(wordsIn('{"message_type":"error","error":{"message":"no"},"during":"archival","item":"/x"}'), ['no'])
  t.same(wordsIn('{"message_type":"error","error":{"Op":"open"}}').length, 1)
  t.same(wordsIn('{ no document'), ['{ no document'])
  t.same(wordsIn('  '), [])
  t.equal(packsIn('[0:05] 33.33%  1 / 3 packs'), 0.3333)
  t.equal(packsIn('[1:00:05] 100.00%  3 / 3 packs'), 1)
  t.equal(packsIn('[0:00] 100.00%  1 / 1 snapshots'), undefined)
})

const remote = {
  run: {
    settings: loadSettings({ ENDOREG_ENV_FILE: '/dev/null' }, undefined),
    check: false,
    flags: new Set<string>(),
    values: new Map<string, string>(),
    report: new Report({ command: 'a-test', check: false, json: false, face: 'plain' }),
    deadline: new Deadline(60, systemClock),
    interruption: new Interruption(() => {}),
  },
  shown: 'the repository',
  env: {},
  scrub: (text: string) => text,
}

const ended = (code: number, ...said: string[]): Ended => ({
  code,
  signal: null,
  out: '',
  said,
  stuck: undefined,
})

/** What restic 0.14 (code 1) and 0.18 said when these things happened to them. */
const CASES: readonly (readonly [name: string, Ended, code: number, cause: RegExp])[] = [
  [
    'a lock',
    ended(
      1,
      'unable to create lock in backend: repository is already locked by PID 5 on vm by root (UID 0, GID 0)',
      'lock was created at 2026-11-25 02:01:28 (466ms ago)',
    ),
    75,
    /locked by PID 5/,
  ],
  [
    'a lock, 0.18',
    ended(
      11,
      'unable to create lock in backend: repository is already locked by PID 5 on vm by root (UID 0, GID 0)',
    ),
    75,
    /locked by PID 5/,
  ],
  ['a password', ended(1, 'Fatal: wrong password or no key found'), 78, /not that of the repository/],
  ['a password, 0.18', ended(12, 'Fatal: wrong password or no key found'), 78, /not that of the repository/],
  [
    'no repository',
    ended(
      1,
      'Fatal: unable to open config file: stat /r/config: no such file or directory',
      'Is there a repository at the following location?',
      '/r',
    ),
    78,
    /there is no repository/,
  ],
  [
    'no repository, 0.18',
    ended(
      10,
      'Fatal: repository does not exist: unable to open config file: stat /r/config: no such file or directory',
      'Is there a repository at the following location?',
      '/r',
    ),
    78,
    /there is no repository/,
  ],
  [
    'nobody listens',
    ended(
      1,
      'Fatal: unable to open config file: client.Head: Head "http://127.0.0.1:1/config": dial tcp 127.0.0.1:1: connect: connection refused',
      'Is there a repository at the following location?',
    ),
    75,
    /connection refused/,
  ],
  [
    'no name',
    ended(
      1,
      'subprocess ssh: ssh: Could not resolve hostname nohost.invalid: Name or service not known',
      'Fatal: unable to open repository at sftp:nohost.invalid:/x: unable to start the sftp session, error: EOF',
    ),
    75,
    /^ssh: Could not resolve/,
  ],
  [
    'no name, and ssh was not heard',
    ended(
      1,
      'Fatal: unable to open repository at sftp:nohost.invalid:/x: unable to start the sftp session, error: error receiving version packet from server: read |0: file already closed',
    ),
    75,
    /unable to start the sftp session/,
  ],
  [
    'another host key',
    ended(
      1,
      'subprocess ssh: @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @',
      'subprocess ssh: Host key verification failed.',
      'Fatal: unable to start the sftp session',
    ),
    78,
    /another one than before/,
  ],
  [
    'an address',
    ended(
      1,
      'Fatal: parsing repository location failed: url.Parse: parse "http://u:sec/ret@h/": invalid port ":sec" after host',
    ),
    78,
    /^restic does not understand the address$/,
  ],
  [
    'a full disk after a bad network',
    ended(
      1,
      'Save(<data/1>) returned error, retrying after 1s: connection reset by peer',
      'Fatal: unable to save snapshot: write /r/data: no space left on device',
    ),
    74,
    /no space left/,
  ],
  [
    'a network that stays bad',
    ended(
      1,
      'Save(<data/1>) returned error, retrying after 1s: connection reset by peer',
      'Fatal: unable to save snapshot: context canceled',
    ),
    75,
    /connection reset/,
  ],
  [
    'a damaged pack',
    ended(1, 'Pack ID does not match, want d5, got c7', 'Fatal: repository contains errors'),
    74,
    /Pack ID does not match/,
  ],
  [
    'a name with numbers',
    ended(
      1,
      'pack 9f403 contains 2 errors: [blob 8: ciphertext verification failed]',
      'Fatal: repository contains errors',
    ),
    74,
    /ciphertext verification failed/,
  ],
  [
    'no certificate',
    ended(
      1,
      'Fatal: unable to open config file: Head "https://h/config": x509: certificate signed by unknown authority',
    ),
    78,
    /x509/,
  ],
  ['the unknown', ended(1, 'something new', 'Fatal: no idea'), 74, /^no idea$/],
  ['silence', ended(2), 74, /ended with 2 and said nothing/],
]

t.test('what the failures mean', async t => {
  for (const [name, how, code, cause] of CASES) {
    const failure = explain(remote, how, 'do it')
    t.equal(failure.code, code, name)
    t.match(failure.reason, cause, name)
    t.equal(failure.message, 'do it (the repository)')
    t.notMatch(failure.reason, /sec\b/)
  }
  t.ok(isLocked(ended(11)))
  t.notOk(isLocked(ended(1, 'Fatal: wrong password or no key found')))
  t.ok(isMissing(ended(10)))
  t.notOk(isMissing(ended(1, 'Fatal: unable to open config file: dial tcp: connect: connection refused')))
})

t.test('a restic that did not go on', async t => {
  const stopped = {
    code: 1,
    signal: null,
    out: '',
    stuck: 120_000,
    said: [
      'Stat(<config/>) returned error, retrying after 933ms: dial tcp 127.0.0.1:1: connect: connection refused',
      'signal interrupt received, cleaning up',
      'Fatal: unable to open config file: context canceled',
      'Is there a repository at the following location?',
    ],
  }
  t.match(explain(remote, stopped, 'do it'), {
    code: 75,
    reason: /^nothing moved for 120 s: .*connection refused/,
  })
  t.match(explain(remote, { ...stopped, said: [] }, 'do it'), { code: 75, reason: 'nothing moved for 120 s' })
})
