import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { needsRoot } from '../support/host.ts'
import { ResetHere } from '../support/reset-here.ts'

t.test('a configuration that names files in the data folder', needsRoot, async t => {
  const own = await ResetHere.create(t, { 'postgres-endoreg-setup.service': 'active' })
  const untouched = (t: Test): void => {
    t.same(own.beside(), [])
    t.equal(own.marked, 'first')
    t.equal(own.journal(), undefined)
    t.same(own.asked(), [])
  }
  own.asked()

  await t.test('what PostgreSQL would not start with is said before anything is done', async t => {
    const big = join(own.data, 'big.conf')
    for (const [name, lines, cause, mend] of [
      ['no such name', 'work_memory = 1MB', /unrecognized configuration parameter "work_memory"/, () => {}],
      ['no such file', "include 'gone.conf'", /gone\.conf/, () => {}],
      [
        'rules with an error',
        `hba_file = '${own.data}/bad'`,
        /bad line 1: /,
        () => own.put('bad', 'local everybody\n'),
      ],
      ['no rules at all', `hba_file = '${own.data}/none'`, /none.*No such file/, () => {}],
      [
        'a folder of its own',
        `include '${own.data}/pg_wal/x.conf'`,
        /pg_wal\/x\.conf is in a folder of PostgreSQL's own/,
        () => own.put('pg_wal/x.conf', ''),
      ],
      [
        'too large',
        `archive_command = '${big} %p'`,
        /big\.conf is too large to be configuration/,
        () => own.put('big.conf', '#'.repeat(16_777_217)),
      ],
    ] as const) {
      await t.test(name, async t => {
        const back = own.configure(`${lines}\n`)
        mend()
        const { code, json, err } = await own.reset()
        back()
        t.equal(code, 78, err)
        t.match(json.error?.cause, cause)
        t.match(json.error?.hint, /Nothing was touched/)
        untouched(t)
      })
    }
  })

  await t.test('the new cluster has them, and so has the old one', async t => {
    const rules = readFileSync(join(own.configuration, 'pg_hba.conf'), 'utf8')
    own.put(
      'rules',
      `include_if_exists more_rules\n${rules}`.replace(/^include.*\n/, own.major >= 16 ? '$&' : ''),
    )
    own.put('more_rules', '# none\n')
    own.put('maps', readFileSync(join(own.configuration, 'pg_ident.conf'), 'utf8'))
    own.put('extra.conf', "include_dir 'parts'\nwork_mem = '7MB'\n")
    own.put('parts/a.conf', "maintenance_work_mem = '9MB'\n", 0o640)
    own.put('linked.conf', "temp_buffers = '10MB'\n")
    symlinkSync(join(own.data, 'linked.conf'), join(own.configuration, 'linked.conf'))
    own.put('logs/deep/old.log', 'long ago\n')
    own.put('archive/000', 'a segment\n')
    own.put('keep.sh', '#!/bin/sh\n', 0o700)
    own.put('certs/own.key', '')
    const [key, certificate] = ['own.key', 'own.crt'].map(name => join(own.data, 'certs', name))
    const options = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
    execFileSync('openssl', ['req', ...options, '-keyout', `${key}`, '-out', `${certificate}`], {
      stdio: 'ignore',
    })
    // As Debian has it: a key of root's for the group of PostgreSQL's account.
    own.keyOfRoot(`${key}`)
    symlinkSync('certs/own.crt', join(own.data, 'server.crt'))
    own.configure(`hba_file = '${own.data}/rules'
ident_file = '${own.data}/maps'
include '${own.data}/extra.conf'
include 'linked.conf'
ssl = on
ssl_key_file = 'certs/own.key'
logging_collector = on
log_directory = 'logs/deep'
archive_command = './keep.sh %p archive/%f'
`)
    own.altered = "hash_mem_multiplier = '3'\n"
    own.restart()
    own.mark('second')
    const names = ['hash_mem_multiplier', 'maintenance_work_mem', 'ssl', 'temp_buffers', 'work_mem']
    const settings = async (): Promise<string[]> => {
      const { settings } = JSON.parse((await own.run('show-psql-conf')).out)
      return names.map(name => {
        const found = settings.find((setting: { readonly name: string }) => setting.name === name)
        return `${name} ${found?.value}`
      })
    }
    const before = await settings()
    t.notMatch(before.join(), /undefined/)
    const { code, err } = await own.reset()
    t.equal(code, 0, err)
    t.match(
      err,
      /the new one gets: certs\/own\.crt, certs\/own\.key, extra\.conf, keep\.sh, linked\.conf, maps, /,
    )
    t.equal(own.marked, undefined)
    t.same(await settings(), before)
    t.same(own.within('archive'), [], "what PostgreSQL writes is the old cluster's")
    t.notOk(own.within('logs/deep').includes('old.log'))
    t.same(own.modes('keep.sh', 'parts/a.conf', 'certs/own.key'), ['700', '640', '600'])

    await t.test('also where the old one is aside and there is none', async t => {
      own.mark('third')
      t.equal((await own.undo()).code, 0)
      own.signalAt('start', own.server, 'KILL')
      t.equal((await own.reset()).signal, 'SIGKILL')
      rmSync(own.data, { recursive: true })
      const { code, err } = await own.reset()
      t.equal(code, 0, err)
      t.same(await settings(), before, 'what ALTER SYSTEM has set, too')
    })
    const back = await own.undo()
    t.equal(back.code, 0, back.err)
    t.equal(own.marked, 'second')
    t.same(await settings(), before)
    t.ok(own.within('logs/deep').includes('old.log'))
  })
})
