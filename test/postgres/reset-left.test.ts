import { hostname } from 'node:os'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { needsRoot } from '../support/host.ts'
import { ResetHere } from '../support/reset-here.ts'

const SETUP = 'postgres-endoreg-setup.service'

t.test('what is dead is not left behind', { skip: needsRoot.skip || needsPrograms.skip }, async t => {
  const own = await ResetHere.create(t, { [SETUP]: 'active' }, fullPostgres)
  const remembered = (): string[] => own.left().filter(name => name.startsWith('verifiers.'))
  const setup = async (): Promise<void> => {
    const { code, err } = await own.run('postgres-endoreg-setup')
    t.equal(code, 0, err)
  }
  await setup()
  const [first] = remembered()

  await t.test('what is remembered of a cluster, once that is deleted', async t => {
    t.equal((await own.reset()).code, 0)
    await setup()
    t.equal(remembered().length, 2, 'the way back needs that of the old one')
    t.equal((await own.undo()).code, 0)
    t.equal((await own.run('reset-psql-safe', '--purge-old', '--yes-delete', hostname())).code, 0)
    t.same(remembered(), [first])
  })
  await t.test('a part of a backup, once the reset that wanted it is undone', async t => {
    own.signalAt('stop', SETUP, 'KILL')
    const killed = await own.run('reset-psql-safe', '--yes-delete', hostname())
    t.equal(killed.signal, 'SIGKILL', killed.err)
    own.leavePartial()
    const { code, err } = await own.undo()
    t.equal(code, 0, err)
    t.same(
      own.left().filter(name => name.includes('partial')),
      [],
    )
    t.equal(own.marked, 'first')
  })
})
