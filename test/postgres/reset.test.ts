import t from 'tap'
import { isRoot } from '../support/command.ts'
import { Host } from '../support/host.ts'

t.test('a cluster that systemd does not run is left alone', async t => {
  const host = await Host.create(t)
  for (const [command, ...args] of [
    ['reset-psql-safe', '--no-backup', '--yes-delete', 'another'],
    ['reset-psql-safe', '--undo'],
    ['reset-psql-safe', '--purge-old', '--check'],
    ['nextcloud-maintenance', '--reset-psql', '--check'],
  ] as const) {
    const { code, json, err } = await host.run(command, args)
    t.equal(code, isRoot ? 69 : 77, err)
    t.match(json.error?.cause, isRoot ? /systemd does not run here|not where Debian has it/ : /only root/)
    t.same(json.changes, [])
  }
  await host.cluster.query('SELECT 1')
})
