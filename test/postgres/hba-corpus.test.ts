import { join } from 'node:path'
import t from 'tap'
import { readLines } from '../../lib/server/access/fields.ts'
import { readSamples } from '../support/hba-corpus.ts'
import { Host } from '../support/host.ts'

type Row = {
  line_number: number
  file_name?: string
  type: string | null
  database: string[]
  user_name: string[]
}

t.test('lines are taken apart as PostgreSQL takes them apart', async t => {
  const { cluster } = await Host.create(t)
  const client = await cluster.connect()
  t.teardown(() => client.end())
  const path = join(cluster.data, 'pg_hba.conf')
  let compared = 0
  for (const { name, text, files } of readSamples('hba-samples.conf')) {
    if (Object.keys(files).length > 0) continue
    // Behind a NUL PostgreSQL drops lines, and their quotes are not looked at then: the texts differ.
    if (text.includes('\0')) continue
    cluster.setRules(text)
    const lines = new Map(readLines(text).map(({ line, fields }) => [line, fields]))
    const { rows } = await client.query<Row>('SELECT * FROM pg_hba_file_rules WHERE type IS NOT NULL')
    for (const row of rows) {
      const [type, databases = [], roles = []] = lines.get(row.line_number) ?? []
      const isList = [...(type ?? []), ...databases, ...roles].some(
        ({ text, quoted }) => !quoted && /^@./.test(text),
      )
      if (isList || (row.file_name ?? path) !== path) continue
      compared += 1
      const ours = [type, databases, roles].map(field => field?.map(({ text }) => text))
      t.strictSame(ours, [[row.type], row.database, row.user_name], `${name}, line ${row.line_number}`)
    }
  }
  t.ok(compared > 50, `${compared} lines`)
})
