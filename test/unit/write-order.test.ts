import t from 'tap'
import { changesIn, parseCalls, steps } from '../support/system-calls.ts'
import { orderBreaches, silenceBreaches } from '../support/write-order.ts'

const PLACES = { durable: ['/host'], whole: ['/host/metrics'] }

/** A trace in which the folders are open: /host as 8, /host/vault as 9, /host/metrics as 7. */
const trace = (...lines: readonly string[]): string =>
  ['/host/metrics', '/host', '/host/vault']
    .map((path, index) => `openat(AT_FDCWD</>, "${path}", O_RDONLY|O_PATH) = ${index + 7}<${path}>`)
    .concat(lines)
    .map(line => `41    ${line}`)
    .join('\n')

const TEMPORARY = '.file.0123456789ab.tmp'
const born = (flags = 'O_EXCL|O_NOFOLLOW', mode = '0600', folder = '/host/vault'): string =>
  `openat(AT_FDCWD</>, "${folder}/${TEMPORARY}", O_WRONLY|O_CREAT|${flags}|O_CLOEXEC, ${mode}) = 5<${folder}/${TEMPORARY}>`
const onFile = (call: string, rest = ''): string => `${call}(5</host/vault/${TEMPORARY}>${rest}) = 0`
const OWN = onFile('fchown', ', 1, 1')
const WRITE = `write(5</host/vault/${TEMPORARY}>, "secret\\n", 7) = 7`
const SYNC = onFile('fsync')
const NAME = `rename("/proc/self/fd/9/${TEMPORARY}", "/proc/self/fd/9/file") = 0`
const LINK = `link("/proc/self/fd/9/${TEMPORARY}", "/proc/self/fd/9/file") = 0`
const CLEAN = `unlink("/proc/self/fd/9/${TEMPORARY}") = 0`
const SYNC_FOLDER = 'fsync(6</host/vault>) = 0'
const tell = (statement: string): string =>
  `write(18<UNIX-STREAM:[1->2]>, "Q\\0\\0\\0\\1${statement}\\0", 9) = 9`
const SET = tell('ALTER ROLE \\"r\\" WITH PASSWORD $v$SCRAM-SHA-256$1$v$')
const LOCK = tell('SELECT pg_catalog.pg_advisory_lock(28550350293329255)')
const UNLOCK = 'write(18<UNIX-STREAM:[1->2]>, "X\\0\\0\\0\\4", 5) = 5'

const breaches = (lines: readonly string[], places: Parameters<typeof orderBreaches>[1] = PLACES): string[] =>
  orderBreaches(parseCalls(trace(...lines)), places)

t.test('what is in order is no breach', async t => {
  t.same(breaches([born(), OWN, WRITE, SYNC, NAME, SYNC_FOLDER, SET]), [])
  t.same(breaches([born(), OWN, WRITE, SYNC, LINK, CLEAN, SYNC_FOLDER, SET]), [])
  t.same(breaches([born(), WRITE, WRITE, SYNC, CLEAN]), [], 'it may never get a name')
  const second = ['unlink("/proc/self/fd/9/other") = 0', SYNC_FOLDER]
  t.same(breaches([born(), WRITE, SYNC, NAME, SYNC_FOLDER, ...second]), [])
  t.same(breaches(['fchmod(6</host/vault>, 0750) = 0']), [], 'a folder is no file')
  t.same(breaches(['rename("/elsewhere/a", "/elsewhere/b") = 0']), [], 'nor is it about other places')
  t.same(breaches([LOCK, born(), WRITE, SYNC, CLEAN, UNLOCK], { ...PLACES, locked: [] }), [])
})

t.test('each rule is found broken', async t => {
  const cases: [
    name: string,
    lines: string[],
    breach: RegExp,
    places?: Parameters<typeof orderBreaches>[1],
  ][] = [
    [
      'bytes that are not on the disk',
      [born(), WRITE, NAME, SYNC_FOLDER],
      /before its bytes are on the disk/,
    ],
    [
      'bytes after the last fsync',
      [born(), WRITE, SYNC, WRITE, NAME, SYNC_FOLDER],
      /before its bytes are on the disk/,
    ],
    ['the same of a link', [born(), WRITE, LINK, CLEAN, SYNC_FOLDER], /before its bytes are on the disk/],
    ['a name that is not', [born(), WRITE, SYNC, NAME], /file in \/host\/vault .* before the end/],
    ['a folder put on the disk too early', [born(), WRITE, SYNC, SYNC_FOLDER, NAME], /before the end/],
    [
      'a name that is not when PostgreSQL relies on it',
      [born(), WRITE, SYNC, NAME, SET, SYNC_FOLDER],
      /ALTER/,
    ],
    ['the same of the commit', [born(), WRITE, SYNC, NAME, tell('COMMIT; RESET x'), SYNC_FOLDER], /COMMIT/],
    [
      'the same of a reload',
      [born(), WRITE, SYNC, NAME, tell('SELECT pg_reload_conf()'), SYNC_FOLDER],
      /pg_reload_conf/,
    ],
    [
      'a journal that is removed too early',
      [born(), WRITE, SYNC, NAME, 'unlink("/proc/self/fd/9/next") = 0', SYNC_FOLDER],
      /next is removed before file/,
    ],
    ['a removal that is not on the disk', ['unlink("/host/vault/next") = 0'], /next in \/host\/vault/],
    ['a new folder that is not', ['mkdir("/proc/self/fd/8/new", 0700) = 0'], /new in \/host /],
    ['an owner that comes late', [born(), WRITE, OWN, SYNC, NAME, SYNC_FOLDER], /owner or mode after/],
    ['a mode that comes late', [born(), WRITE, onFile('fchmod', ', 0600'), SYNC, CLEAN], /owner or mode/],
    ['a file open to others', [born('O_EXCL|O_NOFOLLOW', '0640'), WRITE, SYNC, CLEAN], /open to others/],
    ['a file that may have been there', [born('O_NOFOLLOW'), WRITE, SYNC, CLEAN], /could have been there/],
    ['a link that is followed', [born('O_EXCL'), WRITE, SYNC, CLEAN], /could have been there/],
    [
      'a folder named with what is not on the disk',
      [
        'openat(AT_FDCWD</>, "/host/.b.partial/a", O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW, 0600) = 5</host/.b.partial/a>',
        'write(1</host/.b.partial/a>, "x", 1) = 1',
        'fsync(6</host/.b.partial>) = 0',
        'rename("/host/.b.partial", "/host/b") = 0',
        'fsync(6</host>) = 0',
      ],
      /\.b\.partial\/a is not on the disk before \/host\/b gets its name/,
    ],
    [
      'a folder that loses its name after what is in it',
      [
        'rename("/host/b", "/host/.b.partial") = 0',
        'unlinkat(4</host/.b.partial>, "a", 0) = 0',
        'fsync(6</host>) = 0',
      ],
      /a is removed before b in \/host/,
    ],
    ['a change without the lock', [born(), WRITE, SYNC, CLEAN], /before the lock/, { ...PLACES, locked: [] }],
    ['a change before it', [born(), LOCK, CLEAN], /before the lock/, { ...PLACES, locked: [] }],
    ['a lock that is kept', [LOCK], /not given back/],
    ['a change after it', [LOCK, UNLOCK, born(), CLEAN], /after the lock/, { ...PLACES, locked: [] }],
    [
      'a look before it',
      ['openat(AT_FDCWD</>, "/proc/self/fd/9/file", O_RDONLY) = 5</host/vault/file>', LOCK],
      /openat \/host\/vault\/file before the lock/,
      { ...PLACES, locked: ['/host/vault'] },
    ],
  ]
  for (const [name, lines, breach, places] of cases) t.match(breaches(lines, places).join('\n'), breach, name)
})

t.test('where only whole files matter, a name may be lost', async t => {
  const inMetrics = (line: string): string =>
    line.replaceAll('/host/vault', '/host/metrics').replaceAll('fd/9', 'fd/7')
  const [file, write, sync, name] = [born(), WRITE, SYNC, NAME].map(inMetrics)
  t.same(breaches([file, write, sync, name].map(String)), [])
  t.match(breaches([file, write, name].map(String)), [/before its bytes are on the disk/])
})

t.test('a verifier has a message of its own, between those that silence the log', async t => {
  const said = (...statements: string[]): string[] =>
    silenceBreaches(parseCalls(trace(...statements.map(tell))))
  const [rate, begin, set, commit] = [
    'SET log_transaction_sample_rate = 0',
    "BEGIN READ WRITE; SET LOCAL log_statement = 'none'; SET LOCAL x = 'y'",
    'ALTER ROLE \\"r\\" WITH PASSWORD $v$SCRAM-SHA-256$1:a$b:c$v$',
    'COMMIT; RESET log_transaction_sample_rate',
  ]
  t.same(said(rate, begin, set, commit), [])
  t.match(said(begin, rate, set, commit).join(), /sample rate.*silences/)
  t.match(said(rate, set, commit).join(), /silences/)
  t.match(said(begin, set, commit).join(), /sample rate/)
  t.match(said(rate, begin, set), ['it is not committed right after'])
  t.match(said(rate, begin, `${set}; ${commit}`, commit), ['the verifier is not alone in its message'])
  t.match(said(rate, `${begin}; ${set}`, commit).join(), /not alone/)
})

t.test('what strace writes is understood', async t => {
  const log = `7     openat(AT_FDCWD</>, "/a", O_RDONLY|O_PATH) = 3</a>
7     rename("/proc/self/fd/3/x", "/proc/self/fd/3/y" <unfinished ...>
8     fsync(3</b>)      = 0
7     <... rename resumed>)             = 0
7     unlink("/proc/self/fd/3/none")    = -1 ENOENT (No such file or directory)
7     renameat2(AT_FDCWD</>, "/a/p", 4</c>, "q", 0) = 0
8     rename("/proc/self/fd/3/x", "/d") = 0
7     write(9<TCPv6:[[::1]:1->[::1]:2]>, "p\\0\\0\\0\\67c=biws,r=x", 9) = 9
7     write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "Q\\0\\0\\0\\7SELECT \\"a\\"\\nFROM b\\0", 9) = 9
7     +++ exited with 0 +++
`
  const calls = parseCalls(log)
  t.same(
    calls.map(({ name, target, to }) => `${name} ${target} ${to}`.trim()),
    [
      'openat /a',
      'fsync /b',
      'rename /a/x /a/y',
      'renameat2 /a/p /c/q',
      'rename /proc/self/fd/3/x /d',
      'write TCPv6:[[::1]:1->[::1]:2]',
      'write TCP:[127.0.0.1:1->127.0.0.1:2]',
    ],
  )
  t.same(steps(calls, '/a'), ['name y', 'log in', 'tell SELECT "a"'])
  t.same(changesIn(calls, '/c'), ['renameat2 /a/p /c/q'])
  t.same(changesIn(calls, '/a'), ['rename /a/x /a/y', 'renameat2 /a/p /c/q'])
})
