import t from 'tap'
import { telling, trap } from '../support/hostile.ts'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const ROWS = "SELECT count(*), md5(string_agg(a::text, '' ORDER BY n)) FROM rows a"

for (const release of RELEASES) {
  t.test(`${release}: backup, wreck, restore, and the weekly drill`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const psql = async (sql: string, database = 'endoregDbLocal'): Promise<string> =>
      (
        await machine.run(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', sql], {
          user: 'postgres',
        })
      ).out
    await psql(
      `SET ROLE "endoregDbLocal"; CREATE SCHEMA app; CREATE TABLE app.rows AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n`,
    )
    await psql("SELECT lo_from_bytea(4711, decode(repeat(md5(chr(7)), 9999), 'hex'))")
    await psql('CREATE EXTENSION citext')
    const look = (): Promise<string> =>
      psql(
        `SET search_path TO app; ${ROWS}; SELECT md5(lo_get(4711)), (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'rows')`,
      )
    const then = await look()
    await machine.run('systemctl start endoreg-backup.service')

    await t.test('the unit proves it', async t => {
      await machine.run('systemctl start endoreg-restore-drill.service')
      const said = (await machine.journal('endoreg-restore-drill.service'))
        .map(entry => entry['MESSAGE'])
        .join('\n')
      t.match(
        said,
        /the backup \S+ can be restored: 1\d databases with \d+ tables and 2\d{4} rows, .* compared in a throwaway PostgreSQL/,
      )
      t.equal((await machine.run('ls /var/tmp', { check: false })).out.match(/endoreg-drill/), null)
      const { out } = await machine.run('ps -eo args | grep "[e]ndoreg-drill"', { check: false })
      t.equal(out, '', 'no server is left')
    })
    await t.test('what is restored reaches nothing but its database, and leaves nothing', async t => {
      const script = [
        'echo net $(bash -c "echo >/dev/tcp/127.0.0.1/5432" >/dev/null 2>&1 && echo yes)',
        'echo socket $(ls /run /var/run 2>/dev/null)',
        'echo processes $(ls /proc)',
        'echo files $(ls /var /var/tmp/endoreg-drill-*)',
        'echo end',
      ].join('; ')
      const drill = async (work: string): Promise<number | null> => {
        await psql(trap('endoregDbLocal', work))
        await machine.run('systemctl start endoreg-backup.service')
        const start = 'systemctl start endoreg-restore-drill.service'
        return (await machine.run(start, { check: false })).code
      }
      t.equal(await drill(telling(script)), 1)
      const said = await machine.journal('endoreg-restore-drill.service')
      const error = said.find(entry => entry['MESSAGE']?.startsWith('cannot restore the backup '))
      t.match(
        error?.['MESSAGE'],
        /the database endoregDbLocal: .* seen: net socket processes files \/var: cache tmp \/var\/tmp\/endoreg-drill-\w+: data socket end databases: endoreg-restore-new-1 postgres template0 template1 verifiers: 0 \(in trap/,
      )
      const endless = 'setsid sh -c "sleep 98765 & sleep 98765 &"; sleep 0.1; true'
      t.equal(await drill(`COPY (SELECT 1) TO PROGRAM $c$${endless}$c$;`), 0)
      t.equal((await machine.run('ps -eo args | grep "[s]leep 98765"', { check: false })).out, '')
      await psql('DROP TABLE trapped; DROP FUNCTION trap')
      await machine.run('systemctl start endoreg-backup.service')
    })
    await t.test('also where PostgreSQL is down', async () => {
      await machine.run(
        'systemctl stop endo-api endo-api-boot postgres-endoreg-setup postgresql "postgresql@*"',
      )
      await machine.run('systemctl start endoreg-restore-drill.service')
      await machine.run('systemctl start postgresql postgres-endoreg-setup endo-api-boot')
      await apiAnswers(machine)
    })
    await t.test('and what is wrecked comes back', async t => {
      await psql(
        'DELETE FROM app.rows WHERE n % 3 = 0; ALTER TABLE app.rows OWNER TO postgres; SELECT lo_unlink(4711)',
      )
      await psql('DROP DATABASE "devUser"', 'postgres')
      await machine.run('sync-password --rotate')
      await apiAnswers(machine)
      const refused = await machine.run('restore-postgres', { check: false })
      t.equal(refused.code, 64, refused.err)
      const { err } = await machine.run('restore-postgres --yes-overwrite "$(hostname)"')
      t.match(err, /endoregDbLocal logs in at ::1 and 127\.0\.0\.1; the backup \S+ is restored/)
      t.match(err, /endo-api-boot\.service restarts, and the API with it/)
      t.equal(await look(), then)
      t.match(await psql('SELECT datname FROM pg_database', 'postgres'), /devUser/)
      await apiAnswers(machine)
      t.equal((await machine.run('postgres-endoreg-setup --check', { check: false })).code, 0)
    })
  })
}
