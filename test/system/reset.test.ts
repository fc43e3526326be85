import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { DebianCluster } from '../support/system/cluster.ts'
import { Machine } from '../support/system/machine.ts'
import { beside } from '../support/system/program.ts'

const ROWS = 1000
const TERMINAL = readFileSync(beside('terminal.py'), 'utf8')

for (const release of RELEASES) {
  t.test(`${release}: a cluster is emptied, and comes back`, boots, async t => {
    const cluster = new DebianCluster(release)
    const machine = await Machine.boot(t, await clinic(release), host({}, cluster.options(release)))
    await apiAnswers(machine)
    const name = (await machine.run('hostname')).out.trim()
    const reset = (command: string) => machine.run(command, { check: false })
    const rows = (): Promise<string> => cluster.query(machine, 'SELECT count(*) FROM patients')
    await cluster.query(machine, `CREATE TABLE patients AS SELECT g FROM generate_series(1, ${ROWS}) g`)
    await cluster.query(machine, `ALTER SYSTEM SET work_mem = '5MB'`)
    const configuration = await cluster.configurationDigest(machine)
    const pid = (await machine.unit(cluster.unit))['MainPID']
    const untouched = async (t: Test): Promise<void> => {
      t.equal((await machine.unit(cluster.unit))['MainPID'], pid, 'the server goes on')
      t.same(await cluster.beside(machine), [])
      t.equal((await machine.unit('endo-api.service'))['ActiveState'], 'active')
    }

    await t.test('what would go is shown', async t => {
      const { code, err, out } = await reset('reset-psql-safe --check --json')
      t.equal(code, 1)
      t.match(
        err,
        new RegExp(`cluster ${cluster.version}/main: PostgreSQL ${cluster.version}\\.\\d+, ${cluster.unit}`),
      )
      t.match(err, /data folder \S+: \d+\.\d MiB on the disk/)
      t.match(err, /database endoregDbLocal: \d+\.\d MiB/)
      t.match(err, /1 session of endoregDbLocal in endoregDbLocal/)
      t.match(err, /there is no complete backup/)
      t.match(
        err,
        /stops meanwhile: .*postgres-endoreg-setup\.service, endo-api-boot\.service, endo-api\.service/,
      )
      t.equal(JSON.parse(out).changes.length, 3)
      await untouched(t)
    })
    await t.test('nobody is there to ask', async t => {
      const { code, err } = await reset('reset-psql-safe </dev/null')
      t.equal(code, 64)
      t.match(err, new RegExp(`--yes-delete ${name}$`, 'm'))
      await untouched(t)
    })
    await t.test('the name of another host', async t => {
      const { code, err } = await reset(`reset-psql-safe --yes-delete 'another\u001b[2J'`)
      t.equal(code, 64)
      t.match(err, new RegExp(`this host is "${name}", not "another`))
      await untouched(t)
    })
    const terminal = (line: string, command: string) =>
      machine.run(['python3', '-c', TERMINAL, 'to go on', line, ...command.split(' ')], {
        check: false,
      })
    await t.test('typed wrongly, not at all, or given up, at a terminal', async t => {
      t.equal((await terminal('another\\n', 'reset-psql-safe')).code, 64)
      t.equal((await terminal('\\4', 'reset-psql-safe')).code, 64)
      const { code, out } = await terminal('\\3', 'reset-psql-safe')
      t.equal(code, 75)
      t.match(out, /SIGINT asked this run to stop/)
      await untouched(t)
    })
    await t.test('options that contradict each other', async t => {
      for (const options of ['--undo --purge-old', '--undo --no-backup', '--purge-old --no-backup'])
        t.equal((await reset(`reset-psql-safe ${options}`)).code, 64)
    })

    let backup = ''
    await t.test('typed at a terminal', async t => {
      const began = performance.now()
      const { code, out } = await terminal(`${name}\\n`, 'reset-psql-safe')
      t.comment(`figure: ${release}: a reset with its backup ${Math.round(performance.now() - began)} ms`)
      t.equal(code, 0, out)
      t.match(out, /to go back to it: reset-psql-safe --undo/)
      ;[, backup = ''] = /restore-postgres --backup (\S+-before-reset)/.exec(out) ?? []
      t.match((await machine.run('ls /var/backups/endoreg')).out, backup)
      await apiAnswers(machine)
      await t.rejects(rows(), /"patients" does not exist/)
      t.equal(
        await cluster.query(machine, 'SHOW work_mem'),
        '5MB',
        'what ALTER SYSTEM has set is configuration',
      )
      t.equal(await cluster.configurationDigest(machine), configuration)
      const [aside = '', ...others] = await cluster.beside(machine)
      t.match(aside, /^main\.before-reset-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/)
      t.same(others, [])
      t.notMatch((await machine.run('ls /var/lib/endoreg-provision')).out, /reset\.json/)
    })
    await t.test('the new cluster is like the old one', async t => {
      const created = `SELECT encoding, datcollate, datctype FROM pg_database WHERE datname = 'template0'`
      const now = await cluster.query(machine, created)
      t.equal(now, '6|C.UTF-8|C.UTF-8')
      t.equal((await machine.run('debug-postgres', { check: false })).code, 0)
      t.equal((await machine.run('postgres-endoreg-setup --check', { check: false })).code, 0)
    })
    await t.test('going back', async t => {
      const check = await reset('reset-psql-safe --undo --check')
      t.equal(check.code, 1)
      t.match(check.err, /would change cluster \S+: put \S+before-reset-\S+ back/)
      await cluster.query(machine, `CREATE TABLE later AS SELECT 1`)
      const { code, err } = await reset('reset-psql-safe --undo')
      t.equal(code, 0, err)
      await apiAnswers(machine)
      t.equal(await rows(), String(ROWS))
      t.equal(await cluster.configurationDigest(machine), configuration)
      t.match(await cluster.beside(machine), [/^main\.before-undo-/])
    })
    await t.test('going back once more would not be going back', async t => {
      const { code, err } = await reset('reset-psql-safe --undo')
      t.equal(code, 78)
      t.match(err, /the last reset was undone already/)
      const [aside = ''] = await cluster.beside(machine)
      t.match(err, `--undo-to NAME: ${aside}`)
      t.equal((await reset('reset-psql-safe --undo-to main')).code, 78)
      t.equal((await reset(`reset-psql-safe --undo-to ${aside}`)).code, 0)
      t.equal(await cluster.query(machine, 'SELECT count(*) FROM later'), '1')
      const [back = ''] = await cluster.beside(machine)
      t.equal((await reset(`reset-psql-safe --undo-to ${back}`)).code, 0)
      t.equal(await rows(), String(ROWS))
      await apiAnswers(machine)
    })
    await t.test('two at once are one after the other', async t => {
      const both = await Promise.all([
        reset(`reset-psql-safe --no-backup --yes-delete ${name}`),
        reset(`reset-psql-safe --no-backup --yes-delete ${name}`),
      ])
      t.same(
        both.map(({ code }) => code),
        [0, 0],
        both.map(({ err }) => err).join('\n'),
      )
      await apiAnswers(machine)
    })
    await t.test('the old folders go, those of others stay', async t => {
      const foreign = `${cluster.data}.before-reset-2020-01-01T00-00-00Z`
      const dataless = `${cluster.data}.before-reset-2020-01-02T00-00-00Z`
      await machine.run(
        `cp -a ${cluster.folder}/main.before-undo-* ${foreign}; chown root ${foreign}; mkdir ${dataless}; chown postgres ${dataless}`,
      )
      const outside = '/var/lib/postgresql/outside'
      await machine.run(
        `mkdir ${outside} && touch ${outside}/kept && chown -R postgres ${outside} && for d in ${cluster.folder}/main.before-undo-*; do ln -s ${outside} $d/pg_tblspc/4711; done`,
      )
      const before = await cluster.beside(machine)
      t.equal((await reset('reset-psql-safe --purge-old')).code, 64)
      t.equal((await reset('reset-psql-safe --purge-old --yes-delete another')).code, 64)
      t.equal((await reset('reset-psql-safe --purge-old --check')).code, 1)
      t.same(await cluster.beside(machine), before)
      const { code, err } = await reset(`reset-psql-safe --purge-old --yes-delete ${name}`)
      t.equal(code, 0, err)
      t.match(err, /3 changes made/)
      t.match(err, new RegExp(`also had files in ${outside}: they stay`))
      t.same(
        await cluster.beside(machine),
        [foreign, dataless].map(path => path.split('/').at(-1)),
      )
      await machine.run(`test -e ${outside}/kept`)
      t.equal(
        (await reset(`reset-psql-safe --purge-old --yes-delete ${name}`)).code,
        0,
        'there is nothing left to do',
      )
      await apiAnswers(machine)
    })
  })
}
