import t from 'tap'
import { isSecretName, scrubber, untilSecret } from '../../lib/frame/scrub.ts'

const SECRET = 'q7Zr/4+VJmS0wq=ü"\'x'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

t.test('a secret that is known goes, in every writing', async t => {
  const scrub = scrubber([SECRET])
  const writings = [
    SECRET,
    encodeURIComponent(SECRET),
    JSON.stringify(SECRET),
    Buffer.from(SECRET).toString('hex'),
    base64(SECRET),
    ...['', '1', '12', '123'].map(before => base64(`${before}${SECRET} and more`)),
    Buffer.from(`12${SECRET}\n`).toString('base64url'),
  ]
  for (const writing of writings) {
    const rest = scrub(`before ${writing} after`)
    t.match(rest, /^before .*\[removed\].* after$/, writing)
    const [, left = ''] = /^before (.*) after$/.exec(rest) ?? []
    t.ok(left.length < 40, `what is left of it is not it: ${left}`)
    t.notOk(Buffer.from(left, 'base64').includes(SECRET.slice(3, 12)))
  }
  t.equal(scrub(SECRET + SECRET), '[removed][removed]', 'as often as it is there')
  t.equal(scrubber(['short1'])('a short1 one'), 'a [removed] one')
  t.equal(scrubber(['short'])('a short one'), 'a short one')
  t.equal(scrubber(['secret', 'secret and more'])('secret and more'), '[removed]', 'the longest goes first')
  t.equal(scrubber(['a&b=c d'])('x a%26b%3Dc%20d y'), 'x [removed] y')
  t.equal(scrubber(['a"b\\c d'])('{"x":"a\\"b\\\\c d"}'), '{"x":"[removed]"}')
  t.equal(scrubber(['abcdef'])(`x ${Buffer.from('abcdef').toString('hex')} y`), 'x [removed] y')
  t.equal(scrubber(['??>>??'])(`x ${Buffer.from('??>>??').toString('base64url')} y`), 'x [removed] y')
  t.equal(scrubber(['ab'])('about'), 'about', 'what is too short to be told from words stays')
})

t.test('what looks like a secret goes, whoever put it there', async t => {
  const scrub = scrubber([])
  const looks: readonly (readonly [text: string, rest: string])[] = [
    ['SCRAM-SHA-256$4096:c2FsdA==$abc=:def=', '[removed]'],
    ['md5d41d8cd98f00b204e9800998ecf8427e', '[removed]'],
    ['PGPASSWORD=planted psql', 'PGPASSWORD=[removed] psql'],
    ["Environment='PGPASSWORD=pl anted'", "Environment='PGPASSWORD=[removed] anted'"],
    [`ALTER ROLE x WITH PASSWORD 'it''s planted' LOGIN`, 'ALTER ROLE x WITH PASSWORD [removed] LOGIN'],
    ['ALTER ROLE x PASSWORD $v$planted$v$', 'ALTER ROLE x PASSWORD [removed]'],
    ['postgres://admin:planted@host/db', 'postgres://[removed]host/db'],
    ['https://token@github.com/x', 'https://[removed]github.com/x'],
    ['host all all all ldap ldapbindpasswd="pl anted" x', 'host all all all ldap ldapbindpasswd=[removed] x'],
    [
      "primary_conninfo = 'host=x password=planted port=1'",
      "primary_conninfo = 'host=x password=[removed] port=1'",
    ],
    ['{\\"password\\": \\"planted\\"}', '{\\"password\\": [removed]}'],
    ['host=x password=pl,an;t&ed port=1', 'host=x password=[removed] port=1'],
    ["host=x password = 'pl an\\'t ed' port=1", 'host=x password = [removed] port=1'],
    ['host=x password=pl\\ anted port=1', 'host=x password=[removed] port=1'],
    ["sslpassword='planted", 'sslpassword=[removed]'],
    ['PGPASSWORD=pl\'an t\'ed"x y" psql', 'PGPASSWORD=[removed] psql'],
    ['{"password":"planted","user":"x"}', '{"password":[removed],"user":"x"}'],
    ["password='pl\nanted'\nx", 'password=[removed]\nx'],
    ['radiussecrets="pl,anted" x', 'radiussecrets=[removed] x'],
    ['AWS_SECRET_ACCESS_KEY=planted aws', 'AWS_SECRET_ACCESS_KEY=[removed] aws'],
    ['pgbackrest --repo1-s3-key=planted', 'pgbackrest --repo1-s3-key=[removed]'],
    ['tool --password planted --host x', 'tool --password [removed] --host x'],
    ["sshpass -p 'pl anted' scp", 'sshpass -p [removed] scp'],
    ['curl -u me:planted -T %p', 'curl -u me:[removed] -T %p'],
    ['curl -H "Authorization: Bearer planted" x', 'curl -H "Authorization: Bearer [removed]" x'],
    ['https://me:pl/an@ted@example.org/x', 'https://[removed]example.org/x'],
    [
      '-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----',
      '-----BEGIN PRIVATE KEY-----[removed]-----END PRIVATE KEY-----',
    ],
  ]
  for (const [text, rest] of looks) t.equal(scrub(text), rest)
  const harmless = [
    'password_file: /api/conf/db_pwd',
    'password_encryption = scram-sha-256',
    'ssl_passphrase_command_supports_reload = on',
    'md5_password_warnings = off',
    'tool --password-file /x --no-password x --token --y',
    'https://example.org:8080/x and y@z',
    "archive_command = 'test ! -f /a/%f && cp %p /a/%f'",
    'the role endoregDbLocal has no password',
    'local all all peer map=superuser_map',
  ]
  for (const text of harmless) t.equal(scrub(text), text)
})

t.test('a message of ours keeps the reason after the name of a file, and loses every secret', async t => {
  const paths = ['/etc/secrets/vault/SCRT_a.b_password', '/var/api/conf/secret_key']
  const scrub = scrubber(['known.secret'], paths)
  for (const text of [
    'cannot read the password in /etc/secrets/vault/SCRT_a.b_password: admin may not enter /etc/secrets',
    "cannot provide the API's SECRET_KEY in /var/api/conf/secret_key: its owner could not read it",
    'cannot open the folder /etc/secrets: admin may not enter it',
  ])
    t.equal(scrub(text), text)
  const looks = [
    ['/etc/secrets/vault/SCRT_a.b_password: known.secret', '/etc/secrets/vault/SCRT_a.b_password: [removed]'],
    ['/etc/secrets/vault/SCRT_a.b_password=planted', '/etc/secrets/vault/SCRT_a.b_password=[removed]'],
    ['/etc/secrets/vault/SCRT_aXb_password: planted', '/etc/secrets/vault/SCRT_aXb_password: [removed]'],
    ['/mnt/var/api/conf/secret_key: planted', '/mnt/var/api/conf/secret_key: [removed]'],
    ['secret_key: planted', 'secret_key: [removed]'],
    ['/var/api/conf/secret_key: password=planted x', '/var/api/conf/secret_key: password=[removed] x'],
    ['/etc/secrets: token: planted x', '/etc/secrets: token: [removed] x'],
  ] as const
  for (const [text, rest] of looks) t.equal(scrub(text), rest)
  const [first] = looks
  t.equal(scrubber([])(first[0]), first[1], 'elsewhere it goes by its look')
})

t.test('a text up to its first secret', async t => {
  t.equal(untilSecret('tool --x password=planted and "more'), 'tool --x password=[removed]')
  t.equal(untilSecret('a token: planted\nmore'), 'a token: [removed]')
  t.equal(untilSecret('password_file=/x and more'), 'password_file=/x and more')
  t.equal(untilSecret('nothing of it'), 'nothing of it')
})

t.test('names of which everything is a secret', async t => {
  for (const name of ['ssl_passphrase_command', 'ldapbindpasswd', 'radiussecrets', 'app.API_KEY', 'x.token'])
    t.ok(isSecretName(name), name)
  for (const name of ['password_encryption', 'ssl_key_file', 'krb_server_keyfile', 'work_mem', 'ldapbinddn'])
    t.notOk(isSecretName(name), name)
})

t.test('long texts take no longer than they should', async t => {
  const scrub = scrubber(['a secret'])
  for (const part of [
    'a',
    'a.',
    '-',
    '"',
    "\\'",
    'password',
    'password ',
    '=',
    ':',
    '//',
    'a://b@',
    'x:',
    ' -u ',
  ]) {
    t.equal(typeof scrub(part.repeat(65_536 / part.length)), 'string', part)
  }
})
