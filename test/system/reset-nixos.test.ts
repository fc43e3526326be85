import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host } from '../support/system/clinic.ts'
import { signalAt } from '../support/system/kill.ts'
import { Machine } from '../support/system/machine.ts'

const RELEASE = 'bookworm'
const VERSION = POSTGRESQL[RELEASE]
const DATA = `/var/lib/postgresql/${VERSION}`
const PROGRAMS = `/usr/lib/postgresql/${VERSION}/bin`

/** A PostgreSQL that its unit makes where there is none, with the units around it, as the NixOS module has them. */
const FILES = {
  '/etc/NIXOS': { text: '' },
  '/etc/postgresql.conf': {
    text: "unix_socket_directories = '/run/postgresql'\nlisten_addresses = 'localhost'\npassword_encryption = 'scram-sha-256'\n",
  },
  '/usr/local/bin/prepare-postgresql': {
    text: `#!/bin/sh
set -e
if ! test -e $PGDATA/PG_VERSION; then
  rm -f $PGDATA/*.conf
  ${PROGRAMS}/initdb -U postgres --auth-local=peer --auth-host=scram-sha-256
fi
ln -sfn /etc/postgresql.conf $PGDATA/postgresql.conf
`,
    mode: '755',
  },
  '/usr/local/bin/make-roles': {
    text: `#!/bin/sh
psql -Atc "SELECT 'there' FROM pg_roles WHERE rolname = 'made_by_nixos'" | grep -q there || psql -c 'CREATE ROLE made_by_nixos'
`,
    mode: '755',
  },
  '/etc/systemd/system/postgresql.service': {
    text: `[Unit]
After=network.target
[Service]
Type=notify
User=postgres
Group=postgres
Environment=PGDATA=${DATA} LC_ALL=C.UTF-8
StateDirectory=postgresql postgresql/${VERSION}
StateDirectoryMode=0750
RuntimeDirectory=postgresql
ExecStartPre=/usr/local/bin/prepare-postgresql
ExecStart=${PROGRAMS}/postgres
KillSignal=SIGINT
KillMode=mixed
[Install]
WantedBy=multi-user.target
`,
  },
  '/etc/systemd/system/postgresql-setup.service': {
    text: `[Unit]
Requires=postgresql.service
After=postgresql.service
[Service]
Type=oneshot
RemainAfterExit=yes
User=postgres
ExecStart=/usr/local/bin/make-roles
`,
  },
  '/etc/systemd/system/postgresql.target': {
    text: `[Unit]
Requires=postgresql.service postgresql-setup.service
After=postgresql.service postgresql-setup.service
[Install]
WantedBy=multi-user.target
`,
  },
} as const

t.test(`${RELEASE}, with units like those of NixOS: the unit makes the new cluster`, boots, async t => {
  const machine = await Machine.boot(
    t,
    await clinic(RELEASE),
    host(
      {},
      {
        files: FILES,
        commands: [
          `rm -rf /etc/postgresql ${DATA} /usr/bin/pg_lsclusters`,
          'systemctl --quiet enable postgresql.target',
        ],
      },
    ),
  )
  await apiAnswers(machine)
  const name = (await machine.run('hostname')).out.trim()
  const query = async (sql: string): Promise<string> => {
    const psql = ['sudo', '-u', 'postgres', `${PROGRAMS}/psql`, '-qXAt', '-d', 'endoregDbLocal', '-c', sql]
    return (await machine.run(psql)).out.trim()
  }
  const run = (command: string) => machine.run(command, { check: false })
  await query('CREATE TABLE patients AS SELECT g FROM generate_series(1, 1000) g')
  const isEmpty = async (): Promise<boolean> =>
    (await query(`SELECT to_regclass('public.patients') IS NULL`)) === 't'

  await t.test('a reset', async t => {
    const { code, err } = await run(`reset-psql-safe --yes-delete ${name}`)
    t.equal(code, 0, err)
    t.match(err, /stopped: .*postgresql-setup\.service/)
    await apiAnswers(machine)
    t.ok(await isEmpty())
    t.equal(await query(`SELECT count(*) FROM pg_roles WHERE rolname = 'made_by_nixos'`), '1')
    t.equal((await machine.unit('postgresql.target'))['ActiveState'], 'active')
  })
  await t.test('and back', async t => {
    const { code, err } = await run('reset-psql-safe --undo')
    t.equal(code, 0, err)
    await apiAnswers(machine)
    t.equal(await query('SELECT count(*) FROM patients'), '1000')
  })
  for (const undoes of [true, false]) {
    await t.test(`killed after the folder is moved, then ${undoes ? 'undo' : 'again'}`, async t => {
      const command = `reset-psql-safe --no-backup --yes-delete ${name}`
      // reset.json, the folder; then the new one is made.
      t.equal(await signalAt(machine, command, { call: 'mkdir', when: 1, line: '' }, 'KILL'), null)
      t.equal((await run(`test -e ${DATA}`)).code, 1)
      const { code, err } = await run(undoes ? 'reset-psql-safe --undo' : command)
      t.equal(code, 0, err)
      await apiAnswers(machine)
      t.equal(await isEmpty(), !undoes)
      if (undoes) return
      t.equal((await run('reset-psql-safe --undo')).code, 0)
      t.equal(await query('SELECT count(*) FROM patients'), '1000')
    })
  }
  await t.test('the server is down', async t => {
    await machine.run('systemctl stop postgresql')
    t.equal((await run(`reset-psql-safe --yes-delete ${name}`)).code, 69)
    const { code, err } = await run(`reset-psql-safe --no-backup --yes-delete ${name}`)
    t.equal(code, 0, err)
    await apiAnswers(machine)
    t.ok(await isEmpty())
  })
})
