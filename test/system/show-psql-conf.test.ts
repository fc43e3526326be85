import t from 'tap'
import type { Shown } from '../support/shown.ts'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'

for (const release of RELEASES) {
  const major = POSTGRESQL[release]
  const etc = `/etc/postgresql/${major}/main`
  t.test(
    `${release}: the configuration as Debian has it, of a server that is up and down`,
    boots,
    async t => {
      const machine = await Machine.boot(t, await clinic(release), host())
      await apiAnswers(machine)
      const show = async (user: string, env = ''): Promise<{ code: number; shown: Shown; err: string }> => {
        const command = `env ${env} show-psql-conf --json`
        const { code, out, err } = await machine.run(
          user === 'root' ? command : `setpriv --reuid ${user} --regid ${user} --init-groups ${command}`,
          { check: false },
        )
        return { code: code ?? -1, shown: JSON.parse(out), err }
      }
      const places = {
        data: `/var/lib/postgresql/${major}/main`,
        settings: `${etc}/postgresql.conf`,
        hba: `${etc}/pg_hba.conf`,
        ident: `${etc}/pg_ident.conf`,
      }

      const up = await show('root')
      t.equal(up.code, 0, up.err)
      t.match(up.shown, { source: 'server', places, errors: [], unseen: [] })
      const clusterName = up.shown.settings.find(({ name }) => name === 'cluster_name')
      t.match(clusterName, {
        value: `${major}/main`,
        origin: { kind: 'file', file: `${etc}/postgresql.conf` },
      })
      const rules = up.shown.rules?.map(({ type, databases, roles, address }) => [
        type,
        databases,
        roles,
        address,
      ])
      t.strictSame(rules?.[0], ['local', ['all'], ['postgres'], null])
      t.ok(rules?.some(rule => rule[3] === '::1/128'))
      t.match((await machine.run('show-psql-conf')).out, new RegExp(`^PostgreSQL ${major}\\.`))

      await t.test('the role of an ordinary account', async t => {
        const own = await show('admin', 'PGUSER=admin PGDATABASE=admin')
        t.equal(own.code, 0, own.err)
        t.match(own.shown, { source: 'server', rules: null })
        t.ok(own.shown.settings.some(({ name }) => name === 'cluster_name'))
        t.ok(own.shown.unseen.length > 1)
      })
      await machine.run('systemctl stop postgresql')
      await t.test('root sees the same of a server that is down', async t => {
        const { code, shown, err } = await show('root')
        t.equal(code, 0, err)
        t.match(shown, { source: 'files', version: String(major), places })
        t.strictSame(shown.rules, up.shown.rules)
        t.strictSame(shown.maps, up.shown.maps)
        t.strictSame(shown.errors, [])
      })
      await t.test('and an ordinary account what everybody may read', async t => {
        const { code, shown, err } = await show('admin')
        t.equal(code, 0, err)
        t.match(shown, { source: 'files', places, rules: null, maps: null, errors: [] })
        t.ok(shown.settings.some(({ name }) => name === 'cluster_name'))
        t.ok(shown.unseen.includes(`${etc}/pg_hba.conf: Permission denied`), shown.unseen.join('\n'))
      })
    },
  )
}
