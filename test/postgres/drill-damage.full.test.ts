import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import type { Description, SavedDatabase } from '../../lib/backup/terms.ts'
import { drill, Forgery, left } from '../support/drill-host.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { everything, SAMPLE } from '../support/sample-database.ts'
import { backUp, ended, sampleHost } from '../support/sample-host.ts'

const ARCHIVE = `${SAMPLE}.dump`

/** `bytes` with one bit of the byte at `place`, a part of the whole, turned over. */
function flipped(bytes: Buffer, place: number): Buffer {
  const copy = Buffer.from(bytes)
  const at = Math.floor(bytes.length * place)
  copy[at] = (copy[at] ?? 0) ^ 0x10
  return copy
}

t.test('a damaged backup is found, and what is damaged is named', needsPrograms, async t => {
  const host = await sampleHost(t)
  const name = await backUp(host)
  const forgery = new Forgery(host, name)
  const archive = forgery.read(ARCHIVE)
  const then = await everything(host)
  const found = async (what: string, cause: RegExp): Promise<void> => {
    const result = await drill(host)
    t.equal(result.code, 74, `${what}: ${result.err}`)
    t.match(result.json.error, { code: 74, cause }, what)
    t.equal(result.json.changed, false)
    t.same(left(host), [])
  }

  await forgery.during(ARCHIVE, async () => {
    writeFileSync(join(forgery.folder, ARCHIVE), flipped(archive, 0.5))
    await found('a bit', /it is damaged: sample\.dump is not what was written/)
    truncateSync(join(forgery.folder, ARCHIVE), archive.length - 1)
    await found('a byte less', /sample\.dump is missing, or has not the size/)
  })
  // The size and the digest of what follows are right.
  for (const place of [0.5, 0.7, 0.9]) {
    await forgery.during(ARCHIVE, async () => {
      forgery.put(ARCHIVE, flipped(archive, place))
      await found(`a bit at ${place}`, /the database sample: /)
    })
  }
  await forgery.during(ARCHIVE, async () => {
    forgery.put(ARCHIVE, archive.subarray(0, archive.length * 0.7))
    await found('the end is missing', /the database sample: pg_restore: error: .*end of file/)
    forgery.put(ARCHIVE, forgery.read('endoregDbLocal.dump'))
    await found(
      'that of another database',
      /the database sample: it comes out without the tables clinic\.child, /,
    )
  })
  await forgery.during('globals.sql.gz', async () => {
    const globals = forgery.read('globals.sql.gz')
    forgery.put('globals.sql.gz', flipped(globals, 0.5))
    await found('roles', /it is damaged/)
    const text = gunzipSync(globals).toString()
    const less = text
      .replace(/ALTER ROLE keeper WITH[^;]*;/, '')
      .replace(/GRANT keeper.*/, '')
      .replace('ALTER ROLE reader WITH', 'ALTER ROLE reader WIHT')
    forgery.put('globals.sql.gz', gzipSync(less))
    await found(
      'roles less, and what is no SQL',
      /the roles: not restored: ALTER ROLE reader \(42601\), role keeper: .*createRole false instead of true.*, role reader: .*without the membership keeper/,
    )
  })

  const lies: readonly (readonly [
    edit: (sample: SavedDatabase, told: Description) => void,
    cause: RegExp,
  ])[] = [
    [
      sample => Object.assign(sample.tables[1] ?? {}, { rows: 7 }),
      /with other numbers of rows: clinic\.finding_1 \d+ instead of 7$/,
    ],
    [sample => sample.tables.pop(), /with the table public\.note, of which the backup does not know$/],
    [sample => sample.extensions.push({ name: 'hstore', version: '1' }), /without the extension hstore$/],
    [sample => Object.assign(sample, { largeObjects: 1 }), /with 20 instead of 1 large objects$/],
    [
      (_, told) => told.roles.push({ ...(told.roles[0] ?? raise()), name: 'ghost' }),
      /the roles: role ghost: with /,
    ],
  ]
  for (const [edit, cause] of lies) {
    await forgery.during('manifest.json', async () => {
      forgery.tell(told => edit(told.databases.find(({ name }) => name === SAMPLE) ?? raise(), told))
      const result = await drill(host)
      t.equal(result.code, 74, result.err)
      t.match(result.json.error, { cause })
      t.ok(result.json.checks.some(({ ok }) => !ok))
    })
  }
  await t.test('where a library of its extensions is missing, too', async t => {
    await forgery.during('manifest.json', async () => {
      forgery.tell(told => {
        const sample = told.databases.find(({ name }) => name === SAMPLE) ?? raise()
        sample.extensions.push({ name: 'timescaledb', version: '2' })
      })
      const { json } = ended(await drill(host), 74)
      t.match(json.error, { cause: /^the database sample: .*could not access file "timescaledb"[^;]*$/ })
    })
  })
  await t.test('and where its PostgreSQL is not installed any more, the next one proves it', async t => {
    await forgery.during('manifest.json', async () => {
      forgery.tell(told => Object.assign(told.server, { major: 1 }))
      t.match(ended(await drill(host), 0).err, /PostgreSQL \d\d, since 1 is not installed any more, in /)
      forgery.tell(told => Object.assign(told.server, { major: 99 }))
      t.match(ended(await drill(host), 69).json.error, {
        hint: /postgresql-99.* new backup .*: backup-postgres$/,
      })
    })
  })
  await t.test('it goes on with the others, and names each', async t => {
    await forgery.during(ARCHIVE, async () => {
      forgery.put(ARCHIVE, flipped(archive, 0.7))
      forgery.put('postgres.dump', forgery.read('postgres.dump').subarray(0, 50))
      const { json } = ended(await drill(host), 74)
      t.match(json.error, { cause: /the database postgres: .*; the database sample: / })
      t.same(
        json.checks.filter(({ ok }) => !ok).map(({ name }) => name),
        ['drill postgres', 'drill sample'],
      )
      t.ok(json.checks.some(({ name, ok }) => ok && name === 'drill endoregDbLocal'))
    })
  })
  // An older one that is damaged does not matter to a newer one.
  await backUp(host)
  writeFileSync(join(forgery.folder, ARCHIVE), 'x')
  ended(await drill(host), 0)
  ended(await drill(host, ['--backup', name]), 74)
  t.same(await everything(host), then)
})

function raise(): never {
  throw new Error('there is none')
}
