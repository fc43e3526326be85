import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { compareVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { Host } from '../support/host.ts'

/** Vault file content, and the password the API makes of it. */
const CONTENTS: [content: string, password: string][] = [
  [`it's "quoted" \`so\`\n`, `it's "quoted" \`so\``],
  ['$securepass$', '$securepass$'],
  ['$$', '$$'],
  ['$v$ $vv$ $tag$', '$v$ $vv$ $tag$'],
  [String.raw`back\slash\\ \n \x41 E'\101'`, String.raw`back\slash\\ \n \x41 E'\101'`],
  ['carriage return\r\n', 'carriage return'],
  [' \t\u001f\u0085\u00a0\u3000around \u2028\n\n', 'around'],
  ['ﬁ Ⅸ ① ſ Å', 'ﬁ Ⅸ ① ſ Å'],
  ['\ufeffbyte order mark', '\ufeffbyte order mark'],
  ['soft\u00adhyphen', 'soft\u00adhyphen'],
  ['\u00ad', '\u00ad'],
  ['emoji 🔑 and ﬁ', 'emoji 🔑 and ﬁ'],
  ['\u05d0 mixed directions ﬁ', '\u05d0 mixed directions ﬁ'],
  ['no\u00a0break\u200aspaces', 'no\u00a0break\u200aspaces'],
  ['x'.repeat(900), 'x'.repeat(900)],
  ['ä'.repeat(900), 'ä'.repeat(900)],
  ['md5d41d8cd98f00b204e9800998ecf8427e', 'md5d41d8cd98f00b204e9800998ecf8427e'],
  [
    'SCRAM-SHA-256$4096:c2FsdA==$b3JpZ2luYWwgc3RvcmVkIGtleSBvZiAzMiBieXRlcw==:b3JpZ2luYWwgc2VydmVyIGtleSBvZiAzMiBieXRlcw==',
    'SCRAM-SHA-256$4096:c2FsdA==$b3JpZ2luYWwgc3RvcmVkIGtleSBvZiAzMiBieXRlcw==:b3JpZ2luYWwgc2VydmVyIGtleSBvZiAzMiBieXRlcw==',
  ],
  [':colon,comma=equals', ':colon,comma=equals'],
]

const psql = spawnSync('psql', ['--version']).status === 0

t.test('any password logs in exactly as the API reads it', async t => {
  const host = await Host.create(t)
  for (const [index, [content, password]] of CONTENTS.entries()) {
    await t.test(`content ${index}`, async t => {
      host.writeVault(content)
      const result = await host.setup()
      t.equal(result.code, 0, result.err)
      t.same((await host.setup()).json.changes, [])
      t.equal(readFileSync(host.vaultFile, 'utf8'), content, 'the vault file is as it was')
      t.equal((await host.boot()).code, 0)
      t.equal(readFileSync(host.copy, 'utf8'), `${password}\n`)
      for (const output of [result.out, result.err]) t.notOk(output.includes(password))
    })
    await t.test(
      `libpq agrees on content ${index}`,
      { skip: psql ? false : 'no psql on this machine' },
      async t => {
        const { status, stderr } = spawnSync('psql', ['-qAtXc', 'SELECT 1'], {
          env: {
            ...process.env,
            PGHOST: '127.0.0.1',
            PGPORT: host.env['PGPORT'],
            PGUSER: 'endoregDbLocal',
            PGDATABASE: 'endoregDbLocal',
            PGPASSWORD: password,
          },
          encoding: 'utf8',
        })
        t.equal(status, 0, stderr)
      },
    )
  }
})

t.test('PostgreSQL makes the same verifier of thousands of passwords', async t => {
  const host = await Host.create(t)
  const client = await host.cluster.connect()
  t.teardown(() => client.end())
  await client.query('CREATE ROLE sample')
  // One iteration only, so that thousands fit into seconds; PostgreSQL 15 and older always take 4096.
  await client.query(
    `SELECT set_config('scram_iterations', '1', false) FROM pg_settings WHERE name = 'scram_iterations'`,
  )
  const random = generator(20_261_123)
  const different: string[] = []
  let compared = 0
  for (let round = 0; round < 3000; round++) {
    const text = randomText(random)
    // An empty password, and one that looks like a verifier, are not hashed by PostgreSQL.
    if (text === '') continue
    await client.query(`ALTER ROLE sample PASSWORD ${client.escapeLiteral(text)}`)
    const { rows } = await client.query<{ rolpassword: string }>(
      "SELECT rolpassword FROM pg_authid WHERE rolname = 'sample'",
    )
    const state = await compareVerifier(
      rows[0]?.rolpassword ?? null,
      await ScramPassword.from(new Password(text)),
    )
    if (state !== 'same') different.push(`${JSON.stringify(text)}: ${state}`)
    compared++
  }
  t.ok(compared > 2500)
  t.same(different, [])
})

/** A small generator with a seed (mulberry32), so that a failure can be seen again. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One to six characters of all of Unicode, the first planes and compatibility forms most often. */
function randomText(random: () => number): string {
  const ranges = [
    [0x20, 0x7e],
    [0xa0, 0x24f],
    [0x250, 0x10ff],
    [0x1100, 0x2fff],
    [0xf900, 0xffef],
    [0x3000, 0xd7ff],
    [0x10000, 0x1ffff],
    [0xe0000, 0xe0fff],
  ] as const
  const length = 1 + Math.floor(random() * 6)
  return Array.from({ length }, () => {
    const [from, to] = ranges[Math.floor(random() * ranges.length)] ?? ranges[0]
    return String.fromCodePoint(from + Math.floor(random() * (to - from + 1)))
  }).join('')
}
