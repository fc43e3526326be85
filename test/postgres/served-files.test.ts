import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { inspectAccessFiles, ServedFiles } from '../../lib/server/access/inspect.ts'
import { parseHba } from '../../lib/server/access/parse.ts'
import { Host } from '../support/host.ts'

const LIMIT = 10_000

t.test('a folder where a file is named, and a file where a folder is', async t => {
  const { cluster } = await Host.create(t)
  mkdirSync(join(cluster.data, 'names'))
  writeFileSync(join(cluster.data, 'one'), '')
  cluster.setRules('local @names all peer\nlocal all postgres peer\ninclude names\ninclude_dir one\n')
  const client = await cluster.connect()
  t.teardown(() => client.end())
  const access = await inspectAccessFiles(client, LIMIT)
  const served = new ServedFiles(client, LIMIT, [access.hba])
  const parsed = await served.parse(files => parseHba(access.hba.path, files, access.major))
  t.match(parsed.lines, [{ line: 2, method: 'peer' }])
  // The view says what PostgreSQL makes of the same file.
  const rows = await client.query('SELECT line_number FROM pg_hba_file_rules WHERE error IS NOT NULL')
  t.same(
    parsed.errors.map(({ line }) => line),
    rows.rows.map(row => row.line_number),
  )
})
