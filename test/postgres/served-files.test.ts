import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { inspectAccessFiles } from '../../lib/server/access/inspect.ts'
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
  t.match(access.rules.at(-1), { line: 2, method: 'peer' })
  const rows = await client.query('SELECT line_number FROM pg_hba_file_rules WHERE error IS NOT NULL')
  t.same(
    access.ruleErrors.map(({ line }) => line),
    rows.rows.map(row => row.line_number),
  )
})

t.test('what a view leaves out is in the lines, also of files that are included', async t => {
  const { cluster } = await Host.create(t)
  const client = await cluster.connect()
  t.teardown(() => client.end())
  const { major } = await inspectAccessFiles(client, LIMIT)
  writeFileSync(join(cluster.data, 'names'), 'one, "two words"\n')
  writeFileSync(join(cluster.data, 'more'), 'host all "all" "samehost" scram-sha-256\n')
  cluster.setRules(
    `local "all",+staff "+staff" \\\n  peer "map=a map"\n${major >= 16 ? 'include more\n' : ''}local all @names trust\n`,
  )
  const { rules, included } = await inspectAccessFiles(client, LIMIT)
  const name = (text: string) => ({ text, quoted: false })
  const quoted = (text: string) => ({ text, quoted: true })
  t.match(rules[0], {
    line: 1,
    databases: [quoted('all'), name('+staff')],
    roles: [quoted('+staff')],
    options: [['map', 'a map']],
  })
  t.match(rules.at(-1), { roles: [name('one'), name('two words')] })
  const more = join(cluster.data, 'more')
  if (major >= 16)
    t.match(rules[1], { file: more, roles: [quoted('all')], clients: { kind: 'name', name: 'samehost' } })
  t.same([...included.keys()].sort(), [...(major >= 16 ? [more] : []), join(cluster.data, 'names')])
})
