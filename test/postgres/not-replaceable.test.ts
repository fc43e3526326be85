import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SCRAM_RULES } from '../support/cluster.ts'
import { Host, needsRoot } from '../support/host.ts'
import { converged, meetObstacles, mounted, roleOf } from '../support/obstacles.ts'

t.test('what cannot be replaced is found before PostgreSQL has another password', needsRoot, t =>
  meetObstacles(t, ['mounted over']),
)

t.test('a copy that cannot be replaced is found before the role gets the password', needsRoot, async t => {
  const host = await converged(t)
  host.writeVault('another password\n')
  const remove = mounted(host.copy)
  t.teardown(() => remove?.())
  const before = await roleOf(host)
  for (const args of [['--check'], []]) {
    const result = await host.sync(...args)
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { message: /replace .*db_pwd/, cause: /something is mounted/ })
  }
  t.same(await roleOf(host), before)
})

t.test('the other files of the API', needsRoot, async t => {
  const host = await converged(t)
  writeFileSync(host.yaml, readFileSync(host.yaml, 'utf8').replace('localhost', 'elsewhere'))
  const remove = mounted(host.yaml)
  t.teardown(() => remove?.())
  rmSync(host.copy)
  for (const args of [['--check'], []]) {
    const result = await host.boot(args)
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { message: /replace .*db\.yaml/, cause: /something is mounted/ })
    t.same(result.json.changes, [])
  }
})

t.test('access rules that are mounted are compared, not written', needsRoot, async t => {
  const host = await Host.create(t)
  host.env['ENDOREG_MANAGE_HBA'] = 'write'
  const path = join(host.cluster.data, 'pg_hba.conf')
  host.cluster.setRules(SCRAM_RULES.replaceAll(/^host +replication.*$/gm, ''))
  await host.cluster.reload()
  const remove = mounted(path)
  t.teardown(() => remove?.())
  const before = readFileSync(path, 'utf8')
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
  t.match(result.err, /not written \(\S+pg_hba\.conf cannot be replaced \(something is mounted over it\)\)/)
  t.equal(readFileSync(path, 'utf8'), before)
})
