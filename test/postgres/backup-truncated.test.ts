import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BIN } from '../support/checkout.ts'
import { runCommand } from '../support/command.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'

const skip =
  needsPrograms.skip || (spawnSync('strace', ['-V']).status === 0 ? false : 'no strace on this machine')

t.test('an archive whose last bytes did not get onto the disk counts as no backup', { skip }, async t => {
  const host = await Host.create(t, fullPostgres)
  await host.cluster.query('CREATE TABLE big AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n')
  const good = await host.run('backup-postgres')
  t.equal(good.code, 0, good.err)
  const folder = host.env['ENDOREG_BACKUP_DIR'] ?? ''
  const before = readdirSync(folder)

  const bin = join(host.folder, 'bin')
  const options = join(host.folder, 'options')
  mkdirSync(bin)
  // pg_dump of PostgreSQL 15 does not look at what its last fclose() says.
  const wrapper = `#!/bin/sh
case $PGDATABASE$* in postgres*pg_dump*--snapshot=*) exec strace -f -qq $(cat ${options}) -e signal=none /usr/bin/setpriv "$@" ;; esac
exec /usr/bin/setpriv "$@"
`
  writeFileSync(join(bin, 'setpriv'), wrapper, { mode: 0o755 })
  const run = (what: string) => {
    writeFileSync(options, `-o ${host.folder}/log -e trace=write ${what}`)
    return host.run('backup-postgres', [], { env: { PATH: `${bin}:${host.env['PATH']}` } })
  }
  const counted = await run('')
  t.equal(counted.code, 0, counted.err)
  const writes = readFileSync(join(host.folder, 'log'), 'utf8')
    .split('\n')
    .filter(line => line.includes('write('))
  t.ok(writes.length > 20)
  const known = new Set([...before, ...readdirSync(folder)])
  for (const back of [0, 1, 2, 5]) {
    const { code, json } = await run(`-e inject=write:error=ENOSPC:when=${writes.length - back}`)
    t.equal(code, 74, `the last but ${back}`)
    t.match(json.error?.message, /read the archive|dump the database/)
    t.comment(JSON.stringify(json.error))
    t.same(
      readdirSync(folder).filter(name => !known.has(name)),
      [],
      'nothing has the name of a backup',
    )
  }
})

t.test('where the file of the roles cannot grow, that is what is said', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  await host.cluster.query(
    "DO $$ BEGIN FOR n IN 1..5000 LOOP EXECUTE format('CREATE ROLE %I', 'r' || md5(n::text)); END LOOP; END $$",
  )
  const { code, err } = await runCommand(
    'prlimit',
    ['--fsize=40960', join(BIN, 'backup-postgres'), '--json'],
    { env: host.env },
  )
  t.equal(code, 74, err)
  t.match(err, /cannot write .*globals\.sql\.gz[\s\S]*the file would be larger/)
  t.same(readdirSync(host.env['ENDOREG_BACKUP_DIR'] ?? ''), [])
})
