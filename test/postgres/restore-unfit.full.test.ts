import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { withDigest } from '../../lib/backup/terms.ts'
import { BIN } from '../support/checkout.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { makerHost } from '../support/maker-host.ts'
import { outputOf } from '../support/output.ts'
import { databases } from '../support/restored.ts'
import { everything } from '../support/sample-database.ts'
import { backUp, ended, restore } from '../support/sample-host.ts'

const LACKING = ['--yes-incomplete', hostname()]

t.test('in place it is all or nothing', needsPrograms, async t => {
  const host = await makerHost(t)
  const { cluster } = host
  await cluster.query('CREATE TABLE ours AS SELECT 1 AS n; CREATE TABLE other AS SELECT 1 AS n')
  const name = await backUp(host)
  await cluster.query('CREATE VIEW since AS SELECT n FROM ours; UPDATE other SET n = 2; DELETE FROM ours')
  await cluster.query('DELETE FROM result', 'plain')
  const then = await everything(host)
  const { code, json, err } = await restore(host, ['--backup', name])
  t.equal(code, 73, err)
  t.match(json.error, {
    message: 'restore the database postgres',
    cause:
      /^it comes out without TABLE ours \(TOC entry \d+\): cannot drop table public\.ours because other objects depend on it\. view public\.since depends on table public\.ours\. Use DROP/,
    hint: /It stays as it was\. What is restored: .*plain/,
  })
  t.equal((await everything(host)).get('database postgres'), then.get('database postgres'))
  t.same(await cluster.query('SELECT n FROM result', 'plain'), [{ n: 1 }])
  ended(await host.run('restore-postgres', ['--backup', name, '--database', 'postgres', '--as', 'was']), 0)
  t.same(await cluster.query('SELECT n FROM ours', 'was'), [{ n: 1 }])
})

t.test('what can be seen before changes nothing', needsPrograms, async t => {
  const host = await makerHost(t)
  const { cluster } = host
  // CREATE TABLESPACE takes no transaction, which two statements in one message are.
  const client = await cluster.connect()
  await client.query('SET allow_in_place_tablespaces TO on')
  await client.query(`CREATE TABLESPACE "fast One" LOCATION ''`)
  await client.end()
  await cluster.query(`CREATE TABLE quick TABLESPACE "fast One" AS SELECT 1 AS n`, 'plain')
  await cluster.query('CREATE DATABASE whole TABLESPACE "fast One"')
  const name = await backUp(host)
  await cluster.query('DROP TABLE quick', 'plain')
  await cluster.query('DROP DATABASE whole')
  await cluster.query('DROP TABLESPACE "fast One"')
  const before = await databases(host)
  const gone = await restore(host, ['--backup', name])
  t.equal(gone.code, 78, gone.err)
  t.match(gone.json, {
    changed: false,
    error: { cause: 'this server has no tablespace fast One', hint: /CREATE TABLESPACE "fast One" LOCATION/ },
  })
  const without = await restore(host, ['--backup', name, '--database', 'plain', ...LACKING])
  t.equal(without.code, 1, without.err)
  t.match(without.err, /this server has no tablespace fast One/)
  t.same(await cluster.query('SELECT n FROM quick', 'plain'), [{ n: 1 }], 'the table is in another')
  await cluster.query('DROP DATABASE "endoreg-kept-1"')
  const whole = await restore(host, ['--backup', name, '--database', 'whole', ...LACKING])
  t.equal(whole.code, 1, whole.err)
  t.match(whole.err, /the database whole: with tablespace pg_default instead of fast One/)
  await cluster.query('DROP DATABASE whole')

  const manifest = join(host.folder, 'backups', name, 'manifest.json')
  const told = readFileSync(manifest, 'utf8')
  for (const [edit, cause] of [
    [(text: string) => text.replaceAll('"plpgsql"', '"nonesuch"'), /has no extension nonesuch/],
    [(text: string) => text.replaceAll('"collate": "C"', '"collate": "xx_YY"'), /has not its locale .*xx_YY/],
    [(text: string) => text.replaceAll('"owner": "postgres"', '"owner": "nobody"'), /has the role nobody/],
  ] as const) {
    const { digest: _, ...changed } = JSON.parse(edit(told))
    writeFileSync(manifest, withDigest(changed))
    const { code, json, err } = await restore(host, ['--backup', name, '--database', 'named'])
    t.equal(code, 78, err)
    t.match(json, { changed: false, error: { cause } })
  }
  writeFileSync(manifest, told)
  t.same(await databases(host), before)
})

const noTerminal =
  spawnSync('script', ['--version']).status === 0
    ? false
    : 'no script(1) on this machine, which makes a terminal'

t.test(
  'at a terminal what would be lost is named, and asked for',
  { skip: needsPrograms.skip || noTerminal },
  async t => {
    const host = await makerHost(t)
    const { cluster } = host
    await cluster.query(
      `CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
       CREATE TABLE late (n int CHECK (fine(n)));
       INSERT INTO late VALUES (1);
       CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT false'`,
      'plain',
    )
    const name = await backUp(host)
    const typed = async (answers: readonly string[]) => {
      const command = `${join(BIN, 'restore-postgres')} --backup ${name} --database plain`
      const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
        env: host.env,
      })
      const left = [...answers]
      // Each where it is asked for: what is typed ahead may be taken for the first.
      child.stdout.on('data', (text: Buffer) => {
        for (const _ of String(text).match(/type this host's name to go on/g) ?? [])
          child.stdin.write(`${left.shift() ?? ''}\n`)
      })
      const output = await outputOf(child)
      child.stdin.end()
      t.same(left, [], 'it asked as often')
      return output
    }
    const refused = await typed([hostname(), 'no'])
    t.equal(refused.code, 73, refused.out)
    t.match(
      refused.out,
      /database plain would come back without the rows of public\.late .*type this host's name.*It stays as it was/s,
    )
    t.same(await cluster.query('SELECT n FROM late', 'plain'), [{ n: 1 }])
    const wanted = await typed([hostname(), hostname()])
    t.equal(wanted.code, 1, wanted.out)
    t.same(await cluster.query('SELECT n FROM late', 'plain'), [])
    t.same(await cluster.query('SELECT n FROM late', 'endoreg-kept-1'), [{ n: 1 }])
  },
)
