import t from 'tap'
import { DataScript } from '../../lib/backup/read-archive.ts'
import { parseDescription, withDigest } from '../../lib/backup/terms.ts'
import { described } from '../support/shelf.ts'

/** What `pg_restore --data-only` wrote of a database with such tables (PostgreSQL 15.18, 17.10 and 18.4 alike but for large objects). */
const SCRIPT = String.raw`--
-- PostgreSQL database dump
--

\restrict h1X9

-- Dumped from database version 15.18
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Data for Name: it's; a trap; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public."it's; a ""trap""
COPY x (n) FROM stdin;" (n, "b;") FROM stdin;
1	\.
2	a\nb

\.


--
-- Data for Name: none; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.none  FROM stdin;
\.


COPY "S.x".empty (a) FROM stdin;
\\.

.

\.


SELECT pg_catalog.setval('public."s''; x_seq"', 1, false);

SELECT pg_catalog.lo_create('16400');
SELECT pg_catalog.lo_open('16400', 131072);
SELECT pg_catalog.lowrite(0, '\x3b0a5c2e0a');
SELECT pg_catalog.lo_close(0);
SELECT pg_catalog.lo_create('16401');
COMMIT;

\unrestrict h1X9

--
-- PostgreSQL database dump complete
--

`
const COUNTED = {
  tables: [
    { schema: 'public', name: `it's; a "trap"\nCOPY x (n) FROM stdin;`, rows: 3 },
    { schema: 'public', name: 'none', rows: 0 },
    { schema: 'S.x', name: 'empty', rows: 4 },
  ],
  largeObjects: 2,
}

/** What a reader counts that is fed `bytes` in pieces which end at `cuts`. */
function counted(bytes: Buffer, cuts: readonly number[]) {
  const script = new DataScript()
  let begun = 0
  for (const cut of [...cuts, bytes.length]) {
    script.feed(bytes.subarray(begun, cut))
    begun = cut
  }
  const held = script.end()
  return (
    held && {
      tables: held.tables.map(({ schema, name, rows }) => ({ schema: `${schema}`, name: `${name}`, rows })),
      largeObjects: held.largeObjects,
    }
  )
}

t.test('rows and large objects in a script, wherever it is cut', async t => {
  const bytes = Buffer.from(SCRIPT)
  t.same(counted(bytes, []), COUNTED)
  for (let cut = 1; cut < bytes.length; cut++) t.same(counted(bytes, [cut]), COUNTED, `cut at ${cut}`)
  t.same(counted(bytes, Array.from(bytes.keys()).slice(1)), COUNTED, 'byte by byte')
})

t.test('a script that ends too early is none', async t => {
  const bytes = Buffer.from(SCRIPT)
  const rows = bytes.indexOf('1\t')
  for (const end of [rows, rows + 3, bytes.indexOf('SELECT pg_catalog.lowrite') + 9, bytes.indexOf('FROM')])
    t.equal(counted(bytes.subarray(0, end), []), undefined, `at ${end}`)
})

t.test('a row of any length is read in no more memory than a piece of it', async t => {
  const script = new DataScript()
  const piece = Buffer.alloc(1_000_000, 'x')
  script.feed(Buffer.from('COPY a.b (c) FROM stdin;\n'))
  for (let number = 0; number < 50; number++) script.feed(piece)
  script.feed(Buffer.from('\n\\.\n'))
  t.match(script.end(), { tables: [{ rows: 1 }] })
})

t.test('a description in which anything was changed is none', async t => {
  const told = described('2026-11-22T02-03-04Z', { unread: [{ name: 'a', why: 'b' }] })
  const text = withDigest(told)
  t.same(parseDescription(text), told)
  t.same(parseDescription(JSON.stringify(told)), told, 'those of older versions have no digest')
  for (let at = 0; at < text.length; at++) {
    for (const bit of [1, 4, 16]) {
      const bytes = Buffer.from(text)
      bytes[at] = (bytes[at] ?? 0) ^ bit
      const found = parseDescription(bytes.toString())
      if (typeof found !== 'string')
        t.same(found, told, `byte ${at}, bit ${bit}: nothing that it says has changed`)
    }
  }
  t.match(parseDescription(text.replace('clinic-1', 'clinic-2')), /its digest differs/)
})
