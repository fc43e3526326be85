import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { catalogsOf, RICH } from '../support/rich-database.ts'
import { backUp, bareHost, ended, restore } from '../support/sample-host.ts'

/** What pg_dump does not keep of the objects there: rows of catalogs. */
const NOT_KEPT: Readonly<Record<string, RegExp>> = {
  // ALTER TYPE ... OWNER leaves the multirange that belongs to a range with whoever made it.
  pg_type: /^_?spans \|/,
  // A copy of "C" is for every encoding, and what is made anew for that of the database.
  pg_collation: /^german \|/,
  // A child of a table whose constraint is not valid may be valid.
  pg_constraint: /^later .* table rich\.heir /,
  // A column that was dropped leaves its place behind.
  pg_attribute: /\| \.{8}pg\.dropped\./,
  pg_class: /^schema rich \| type rich\.base \|/,
}

t.test('objects of every kind come back in every row of the catalogs', needsPrograms, async t => {
  const host = await bareHost(t, { settings: { wal_level: 'logical' } })
  ended(await host.setup(), 0)
  const { cluster } = host
  await cluster.query('CREATE ROLE maker; CREATE ROLE reader; CREATE ROLE odd_one')
  await cluster.query('CREATE DATABASE rich')
  await cluster.query(RICH, 'rich')
  const then = await catalogsOf(host, 'rich')
  const name = await backUp(host)
  await cluster.query('DROP DATABASE rich')
  const { err } = ended(await restore(host, ['--backup', name]), 0)
  t.notMatch(err, /differs|would come back|no statistics|search_path/)
  const now = await catalogsOf(host, 'rich')
  const kept = (catalog: string, rows: readonly string[] = []): string[] =>
    rows.filter(row => !NOT_KEPT[catalog]?.test(row))
  for (const [catalog, rows] of then) {
    t.same(kept(catalog, now.get(catalog)), kept(catalog, rows), catalog)
    if (NOT_KEPT[catalog]) t.not(kept(catalog, rows).length, rows.length, `${catalog} has what is not kept`)
  }
})
