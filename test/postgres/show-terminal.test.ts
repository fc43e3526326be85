import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { widthOf } from '../../lib/frame/table.ts'
import { SCRAM_RULES } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { settingsOf, show, showText } from '../support/shown.ts'

/** A terminal's lines, without the colours of the report. */
const linesOf = (out: string): string[] =>
  out
    .split('\u001b[')
    .map((part, index) => (index === 0 ? part : part.replace(/^\d*m/, '')))
    .join('')
    .split(/\r?\n/)
    .filter(line => !line.startsWith('show-psql-conf: '))

/** tap's option for a test with a terminal: why it is skipped, or false. */
const needsTerminal = {
  skip: existsSync('/usr/bin/script') ? false : 'needs script(1) for a terminal',
} as const

t.test('lines fit the terminal, and a pipe gets them whole', needsTerminal, async t => {
  const host = await Host.create(t, { start: false })
  const { cluster } = host
  const folder = join(cluster.data, 'a folder with quite a long name that no terminal has room for')
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'x.conf'),
    `app.list = '${'item, '.repeat(400)}'\napp.word = '${'w'.repeat(3000)}'\n`,
  )
  cluster.configure({ include_dir: `'${folder}'`, log_line_prefix: "'%m [%p] %q%u@%d from %h '" })
  await cluster.start()
  await cluster.query("ALTER DATABASE postgres SET work_mem = '5MB'")
  const piped = await showText(host)
  t.equal(piped.code, 0, piped.err)
  t.ok(piped.out.includes('item, '.repeat(400)))
  t.ok(piped.out.includes('w'.repeat(3000)))
  t.ok(piped.out.endsWith('\n'))
  for (const columns of [40, 80, 200]) {
    const { code, out } = await showText(host, columns)
    t.equal(code, 0)
    const lines = linesOf(out)
    t.ok(Math.max(...lines.map(widthOf)) <= columns, `${columns} columns`)
    t.ok(
      lines.some(line => line.includes('…')),
      'what is much too long is cut',
    )
    const joined = lines.map(line => line.trim()).join(' ')
    for (const word of [
      'log_line_prefix',
      'ALTER DATABASE',
      '"postgres"',
      'scram-sha-256',
      'superuser_map',
    ]) {
      t.ok(joined.includes(word), `${columns} columns: ${word}`)
    }
    t.notOk(
      lines.some(line => line !== line.trimEnd()),
      'no blanks at the ends',
    )
  }
  const wide = linesOf((await showText(host, 200)).out)
  t.ok(wide.some(line => /^TYPE +DATABASE +ROLE +ADDRESS +METHOD +OPTIONS +WHERE$/.test(line)))
  const narrow = linesOf((await showText(host, 40)).out)
  t.ok(narrow.includes('host all all ::1/128 scram-sha-256'))
})

t.test('standard output has what was asked for, standard error the rest', async t => {
  const host = await Host.create(t)
  const { out, err } = await showText(host)
  t.match(out, /^PostgreSQL \d+\.\d+\n\ndata +\//)
  t.notMatch(out, /show-psql-conf/)
  t.match(err, /^show-psql-conf: .*; no errors in the files\n$/)
  const json = await show(host)
  t.ok(json.out.startsWith('{') && json.out.endsWith('}\n'))
  t.match(json.json, { changed: false, check: false, changes: [], checks: [] })
  t.equal(json.err, err)
  await t.test('whoever reads it may leave', async t => {
    const head = await showText(host, undefined, '| head -n 1')
    t.match(head, { code: 0, out: /^PostgreSQL / })
  })
  await t.test('a full disk is an error', async t => {
    t.match(await showText(host, undefined, '>/dev/full'), {
      code: 74,
      err: /standard output: no space left/,
    })
    t.match(await showText(host, undefined, '--json >/dev/full'), {
      code: 74,
      err: /standard output: no space left/,
    })
  })
})

t.test('odd values steer no terminal', needsTerminal, async t => {
  const host = await Host.create(t, { start: false })
  const { cluster } = host
  host.env['ENDOREG_PG_DATA'] = cluster.data
  const conf = join(cluster.data, 'postgresql.conf')
  appendFileSync(
    conf,
    [
      String.raw`app.escape = 'a\033[2Jb\007\302\233c'`,
      String.raw`app.lines = 'one\ntwo\r\n\tthree'`,
      "app.raw = 'x\u001b]0;title\u0007y'",
      "app.order = '\u202eevil\u2066'",
      "app.wide = '漢字 é 😀'",
      "app.quotes = '\"$x\" `id` \\\\ ''y'''",
      '',
    ].join('\n'),
  )
  appendFileSync(conf, Buffer.from("app.bytes = 'gr\xfc\xdfe'\n", 'latin1'))
  cluster.setRules(`${SCRAM_RULES}host "a\u001b[31mb" all 127.0.0.1/32 trust\n`)
  const values: Readonly<Record<string, string>> = {
    'app.escape': 'a\u001b[2Jb\u0007\u009bc',
    'app.lines': 'one\ntwo\r\n\tthree',
    'app.raw': 'x\u001b]0;title\u0007y',
    'app.order': '\u202eevil\u2066',
    'app.wide': '漢字 é 😀',
    'app.quotes': '"$x" `id` \\ \'y\'',
    'app.bytes': 'gr\ufffd\ufffde',
  }
  for (const state of ['down', 'up']) {
    if (state === 'up') await cluster.start()
    const { shown, out, err } = await show(host)
    t.equal(shown.source, state === 'up' ? 'server' : 'files', err)
    for (const [name, value] of Object.entries(values)) {
      t.equal(settingsOf(shown, name)[0]?.value, value, `${state}: ${name} is whole`)
    }
    const isClean = (text: string): boolean => !/[\p{Cc}\u202e\u2066]/u.test(text.replaceAll('\n', ''))
    t.notOk(/\p{Cc}/u.test(out.replaceAll('\n', '')), `${state}: nor does JSON`)
    const piped = await showText(host)
    t.ok(isClean(piped.out), `${state}: piped`)
    t.match(piped.out, /^app\.escape +a\\x1b\[2Jb\\x07\\x9bc /m)
    t.match(piped.out, /^app\.lines +one\\ntwo\\r\\n\\tthree /m)
    t.ok(piped.out.includes('"a\\x1b[31mb"'))
    t.ok(linesOf((await showText(host, 80)).out).every(isClean), `${state}: on a terminal`)
  }
  await t.test('and a name that is no text', async t => {
    appendFileSync(conf, Buffer.from("gr\xfc\x80 = '\x1b'\n", 'latin1'))
    const { code, shown } = await show(host)
    t.equal(code, 1)
    t.match(shown.errors, [{ message: "unrecognized configuration parameter: gr\ufffd\ufffd = '\u001b'" }])
  })
})
