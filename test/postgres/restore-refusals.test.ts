import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Description } from '../../lib/backup/terms.ts'
import { BIN } from '../support/checkout.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { outputOf } from '../support/output.ts'
import { databases } from '../support/restored.ts'
import { everything, SAMPLE, wreck } from '../support/sample-database.ts'
import { backUp, bareHost, ended, restore, sampleHost } from '../support/sample-host.ts'
import { retell } from '../support/shelf.ts'

const RESTORE = join(BIN, 'restore-postgres')

t.test('what is refused changes nothing', needsPrograms, async t => {
  const host = await sampleHost(t, { settings: { max_prepared_transactions: '2' } })
  const none = await restore(host)
  t.equal(none.code, 78)
  t.match(none.json.error, { cause: /there is none in/, hint: /backup-postgres/ })
  const name = await backUp(host)
  const then = await everything(host)
  const backup = join(host.folder, 'backups', name)
  const manifest = readFileSync(join(backup, 'manifest.json'), 'utf8')
  const edited = (edit: (told: Description) => void): void => {
    writeFileSync(join(backup, 'manifest.json'), manifest)
    retell(backup, edit)
  }
  const refused = async (args: readonly string[], code: number, error: object, tap = t): Promise<void> => {
    const result = await host.run('restore-postgres', args)
    tap.equal(result.code, code, result.err)
    tap.match(result.json, { changed: false, error }, args.join(' '))
  }
  const yes = ['--yes-overwrite', hostname()]

  await refused([], 64, {
    cause: /no terminal/,
    hint: `Nothing was touched. If it is meant, say so with ${yes.join(' ')}`,
  })
  await refused(['--yes-overwrite', 'another'], 64, { cause: /not "another"/ })
  await refused([...yes, '--backup', '2020-01-01T00-00-00Z'], 64, { hint: `The newest are: ${name}` })
  await refused([...yes, '--database', 'x'], 64, { hint: /^It has: endoregDbLocal, odd/ })
  await refused(['--drill', '--no-backup'], 64, { cause: '--drill and --no-backup do not go together' })
  edited(told => {
    told.server.major++
  })
  await refused(yes, 78, { cause: /made by PostgreSQL \d+, and this is PostgreSQL/ })
  writeFileSync(join(backup, 'manifest.json'), manifest)

  const prepared = await host.cluster.connect(SAMPLE)
  await prepared.query(`BEGIN READ WRITE; CREATE TABLE p (); PREPARE TRANSACTION 'one'`)
  await refused(yes, 75, {
    cause: `prepared transactions keep a database from being replaced: one in ${SAMPLE}`,
  })
  await prepared.query(`ROLLBACK PREPARED 'one'`)
  await prepared.end()

  await t.test('check mode says what would be', async t => {
    const { code, json, err } = await host.run('restore-postgres', ['--check'])
    t.equal(code, 1, err)
    t.match(json, { changed: true, check: true })
    t.ok(
      json.changes.some(
        ({ resource, action }) => resource === `database ${SAMPLE}` && /replace/.test(action),
      ),
    )
    t.match(err, /the sessions in what is replaced will be ended/)
  })
  await t.test('a damaged file', async t => {
    const path = join(backup, `${SAMPLE}.dump`)
    const bytes = readFileSync(path)
    const flipped = Buffer.from(bytes)
    flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(path, flipped)
    await refused(yes, 74, { cause: `it is damaged: ${SAMPLE}.dump is not what was written` }, t)
    truncateSync(path, 100)
    await refused([...yes, '--backup', name], 74, {
      cause: new RegExp(`${SAMPLE}.dump is missing, or has not the size`),
    })
    writeFileSync(path, bytes)
  })
  const now = await everything(host)
  for (const [what, text] of then) t.equal(now.get(what), text, what)
  t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
})

t.test('at a terminal the name of the host is typed', { skip: needsPrograms.skip || noScript() }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  await wreck(host)
  const typed = async (answer: string) => {
    const child = spawn(
      'script',
      ['--quiet', '--return', '--command', `${RESTORE} --database ${SAMPLE}`, '/dev/null'],
      {
        env: host.env,
      },
    )
    child.stdin.end(`${answer}\n`)
    return outputOf(child)
  }
  const then = await everything(host)
  for (const answer of ['y', '', 'another']) {
    const refused = await typed(answer)
    t.equal(refused.code, 64, refused.out)
    t.match(refused.out, /type this host's name to go on/)
  }
  t.same(await everything(host), then)
  const wanted = await typed(hostname())
  t.equal(wanted.code, 0, wanted.out)
  t.match(wanted.out, /is restored/)
})

function noScript(): string | false {
  return spawnSync('script', ['--version']).status === 0
    ? false
    : 'no script(1) on this machine, which makes a terminal'
}

t.test('an archive that does not hold what the backup says is not put in place', needsPrograms, async t => {
  const host = await sampleHost(t)
  const name = await backUp(host)
  retell(join(host.folder, 'backups', name), told => {
    const sample = told.databases.find(database => database.name === SAMPLE)
    const [first] = sample?.tables ?? []
    if (!sample || !first) throw new Error('there is no sample')
    first.rows++
    sample.largeObjects++
    sample.tables.push({ schema: 'x', name: 'gone', rows: 0 })
  })
  const then = await everything(host)
  const { code, json } = await restore(host)
  t.equal(code, 74)
  t.match(json.error, {
    message: `restore the database ${SAMPLE}`,
    cause:
      /^it comes out without the table x\.gone, with other numbers of rows: .* \d+ instead of \d+, with 20 instead of 21 large objects$/,
  })
  const now = await everything(host)
  for (const [what, text] of then) t.equal(now.get(what), text, what)
  t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
})

t.test('a server that is down, and one that takes no writes', needsPrograms, async t => {
  const host = await bareHost(t, { settings: { default_transaction_read_only: 'on' } })
  ended(await host.setup(), 0)
  await backUp(host)
  ended(await restore(host), 0)
  await host.cluster.stop()
  host.env['ENDOREG_READY_TIMEOUT'] = '0.5'
  const down = await restore(host)
  t.equal(down.code, 75, down.err)
})

t.test('without the programs', needsPrograms, async t => {
  const host = await bareHost(t)
  ended(await host.setup(), 0)
  const name = await backUp(host)
  retell(join(host.folder, 'backups', name), told => {
    told.server.major = 99
  })
  const drill = await host.run('restore-postgres', ['--drill'])
  t.equal(drill.code, 69, drill.err)
  t.match(drill.json.error, {
    message: /what 99 held/,
    hint: /backup-postgres/,
  })
})
