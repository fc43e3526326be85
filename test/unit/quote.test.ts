import t from 'tap'
import { dollarQuoted, identifier, literal } from '../../lib/server/sql.ts'

/** What PostgreSQL reads: up to the first place where the opening tag stands again. */
function read(constant: string): { text: string; rest: string } {
  const tag = /^\$[A-Za-z_][A-Za-z0-9_]*\$/.exec(constant)?.[0]
  if (tag === undefined) return { text: '', rest: constant }
  const body = constant.slice(tag.length)
  const end = body.indexOf(tag)
  return { text: body.slice(0, end), rest: body.slice(end + tag.length) }
}

const TEXTS = [
  '',
  'plain',
  "it's",
  'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy',
  '$',
  '$$',
  'ends with $',
  '$v',
  '$v$',
  'ends with $v',
  'v$',
  '$vv$',
  '$v$ and $vv$ and $vvv$',
  '$v$v$v$',
  '$v$; DROP ROLE admin; --',
  String.raw`back\slash`,
  'new\nline',
]

t.test('a dollar-quoted text is read back whole, and nothing is left behind it', async t => {
  for (const text of TEXTS) t.strictSame(read(dollarQuoted(text)), { text, rest: '' }, JSON.stringify(text))
})

t.test('the tag is no longer than it has to be', async t => {
  t.equal(dollarQuoted('x'), '$v$x$v$')
  t.equal(dollarQuoted('$v$'), '$vv$$v$$vv$')
})

t.test('an identifier keeps its case and doubles its quotes', async t => {
  t.equal(identifier('endoregDbLocal'), '"endoregDbLocal"')
  t.equal(identifier('a"; DROP ROLE b; --'), '"a""; DROP ROLE b; --"')
})

t.test('a literal doubles quotes, and escapes backslashes explicitly', async t => {
  t.equal(literal("it's"), "'it''s'")
  t.equal(literal(String.raw`a\b`).trim(), String.raw`E'a\\b'`)
})
