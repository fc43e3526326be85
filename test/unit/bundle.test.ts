import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { scrubber } from '../../lib/doctor/bundle/scrub.ts'
import { tar } from '../../lib/doctor/bundle/tar.ts'

t.test('an archive that tar(1) unpacks', async t => {
  const folder = t.testdir({})
  const file = join(folder, 'x.tar')
  const texts = ['', 'short\n', 'ä'.repeat(256), 'x'.repeat(511), 'x'.repeat(1025)]
  const modified = new Date('2026-01-02T03:04:05Z')
  writeFileSync(
    file,
    tar(
      texts.map((text, index) => ({ name: `folder/${index}.txt`, text })),
      modified,
    ),
  )
  const out = join(folder, 'out')
  mkdirSync(out)
  execFileSync('tar', ['--extract', '--no-same-owner', '--file', file, '--directory', out])
  for (const [index, text] of texts.entries()) {
    const path = join(out, `folder/${index}.txt`)
    t.equal(readFileSync(path, 'utf8'), text)
    t.match(statSync(path), { mode: 0o100600, mtimeMs: modified.getTime() })
  }
  t.throws(() => tar([{ name: 'x'.repeat(100), text: '' }], modified), RangeError)
})

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
    [
      '-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----',
      '-----BEGIN PRIVATE KEY-----[removed]-----END PRIVATE KEY-----',
    ],
  ]
  for (const [text, rest] of looks) t.equal(scrub(text), rest)
  const harmless = [
    'password_file: /api/conf/db_pwd',
    'password_encryption = scram-sha-256',
    'the role endoregDbLocal has no password',
    'local all all peer map=superuser_map',
  ]
  for (const text of harmless) t.equal(scrub(text), text)
})
