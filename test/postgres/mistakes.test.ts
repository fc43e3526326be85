import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { isRoot } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'

/** What somebody types, what is printed, and the exit code. Each is refused before anything is touched. */
type Mistake = {
  readonly name: string
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly file?: string
  readonly code: number
  readonly says: RegExp
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'a section and a line of words in the settings file',
    command: 'sync-password',
    file: '[postgres]\nport is 5432\n',
    code: 78,
    says: /cannot read the settings: 2 problems: \S+provision\.env, line 1 is a section.*; \S+provision\.env, line 2 is no setting/,
  },
  {
    name: 'a port with the wrong name',
    command: 'debug-postgres',
    file: 'PG_PORT=5433\n',
    code: 78,
    says: /PG_PORT \(\S+\) is not a setting; did you mean PGPORT\?/,
  },
  {
    name: 'a port set twice',
    command: 'show-psql-conf',
    file: 'PGPORT=5433\n\nPGPORT=5434\n',
    code: 78,
    says: /PGPORT \(\S+\) is set in the lines 1 and 3: keep one/,
  },
  {
    name: 'JSON with a comma too many',
    command: 'postgres-endoreg-setup',
    env: { ENDOREG_API_SETTINGS: '{"TIME_ZONE": "UTC",}' },
    code: 78,
    says: /ENDOREG_API_SETTINGS \(the environment\) is no JSON: line 1, column 21: expected a name in double quotes/,
  },
  {
    name: 'a settings file that is not there',
    command: 'backup-postgres',
    args: ['--env-file', '/none/x.env'],
    code: 78,
    says: /cannot read the settings file \/none\/x\.env: there is no such file/,
  },
  {
    name: 'a bundle into a folder that is not there',
    command: 'debug-postgres',
    args: ['--bundle', '/none/x.tar'],
    code: 73,
    says: /^debug-postgres: cannot write the bundle \/none\/x\.tar: there is no folder \/none\n.*mkdir -p \/none/,
  },
  {
    name: 'a bundle without its file',
    command: 'debug-postgres',
    args: ['--bundle'],
    code: 64,
    says: /cannot understand the command line: Option '--bundle' needs a value: FILE\n.*what to do: See: debug-postgres --help/,
  },
  {
    name: 'consent without the name of the host',
    command: 'reset-psql-safe',
    args: ['--yes-delete', '--check'],
    code: 64,
    says: /Option '--yes-delete' needs a value: HOSTNAME/,
  },
  {
    name: 'a look and consent',
    command: 'fix-postgres',
    args: ['--check', '--yes'],
    code: 64,
    says: /--check and --yes do not go together/,
  },
  {
    name: 'a folder of the state that is a file',
    command: 'backup-postgres',
    env: { ENDOREG_STATE_DIR: '/etc/passwd/state' },
    code: 78,
    says: /below \/etc is not a folder\n.*what to do: Move the file that stands in the way, or correct ENDOREG_STATE_DIR\./,
  },
  {
    name: 'a folder of backups that everybody uses',
    command: 'restore-postgres',
    args: ['--list'],
    env: { ENDOREG_BACKUP_DIR: '/tmp' },
    code: isRoot ? 78 : 77,
    says: isRoot ? /Every account uses \/tmp: name a folder of its own/ : /the folder belongs to root/,
  },
  {
    name: 'a short option that was meant to be a long one',
    command: 'sync-password',
    args: ['-check'],
    code: 64,
    says: /Unknown option '-check'\n.*Did you mean --check\?/,
  },
  {
    name: 'a backup that is not there',
    command: 'restore-postgres',
    args: ['--backup', '2026-01-01T00-00-00Z'],
    code: 64,
    says: /cannot find the backup 2026-01-01T00-00-00Z: there is none of that name in/,
  },
]

t.test('what is typed wrong is named, and nothing is touched', async t => {
  const host = await Host.create(t)
  const file = join(host.folder, 'provision.env')
  for (const { name, command, args = [], env = {}, file: content, code, says } of MISTAKES) {
    await t.test(name, async t => {
      if (content !== undefined) writeFileSync(file, content)
      const given = content === undefined ? args : ['--env-file', file, ...args]
      const result = await host.run(command, given, { env })
      t.equal(result.code, code, result.err)
      t.match(result.err, says)
      t.notMatch(result.err, /\.\.(?:\s|$)/m, 'no second full stop')
      t.same(result.json.changes, [])
      t.notOk('findings' in result.json, 'before the work')
    })
  }
  t.notOk(existsSync(host.vaultFile))
  await t.test('another account than root', needsRoot, async t => {
    mkdirSync(join(host.folder, 'backups'), { mode: 0o700 })
    for (const [command, says] of [
      [
        'restore-postgres',
        /the folder belongs to root, and stranger has started this\n.*what to do: Run it as root \(sudo\)\./,
      ],
      [
        'fix-postgres',
        /cannot run fix-postgres: only root can do this, and another account has started it\n/,
      ],
      ['reset-psql-safe', /cannot run reset-psql-safe: only root/],
    ] as const) {
      const { code, err } = await host.run(command, [], { as: 'stranger' })
      t.equal(code, 77, err)
      t.match(err, says)
      t.notMatch(err, /terminal|chmod|namei/)
    }
  })
  await t.test('a manifest', async t => {
    const manifest = join(host.folder, 'manifest.json')
    const role = { name: 'endoregDbLocal', lgoin: true }
    for (const [text, says] of [
      [
        '{\n  "roles": [],\n}\n',
        /manifest\.json: it is no JSON: line 3, column 1: expected a name in double quotes/,
      ],
      [
        JSON.stringify({ roles: [role] }),
        /roles\.0\.lgoin: unknown key; did you mean login\?; databases: is missing/,
      ],
    ] as const) {
      writeFileSync(manifest, text)
      const { code, err } = await host.run('sync-password', [], { env: { ENDOREG_MANIFEST: manifest } })
      t.equal(code, 78, err)
      t.match(err, says)
    }
  })
})

t.test('a vault file that was used before and is elsewhere now', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const [used, typed] = [host.vaultFile, join(host.folder, 'etc/vualt/SCRT_password')]
  const verifier = async (): Promise<unknown> =>
    (await host.cluster.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`))[0]
  const before = await verifier()
  const state = join(host.folder, 'state')
  const times = (): number[] => [state, used].map(path => statSync(path).mtimeMs)

  await t.test('another place stops before anything is made', async t => {
    const then = times()
    for (const [command, ...args] of [
      ['postgres-endoreg-setup'],
      ['postgres-endoreg-setup', '--check'],
      ['sync-password'],
      ['sync-password', '--rotate'],
    ] as const) {
      const { code, err, json } = await host.run(command, args, { env: { ENDOREG_VAULT_FILE: typed } })
      t.equal(code, 78, err)
      t.match(json.error, {
        message: `cannot generate the password in ${typed}`,
        cause: `is in another vault file, ${used}, which was used so far`,
        hint: `Correct ENDOREG_VAULT_FILE. Where the new place is meant, move the file there: mkdir -p ${dirname(typed)} && mv ${used} ${typed}`,
      })
      t.same(json.changes, [])
    }
    t.notOk(existsSync(dirname(typed)))
    t.same(await verifier(), before)
    t.same(times(), then)
    const { err } = await host.run('debug-postgres', [], { env: { ENDOREG_VAULT_FILE: typed } })
    t.match(err, new RegExp(`error vault-elsewhere \\(${typed}\\): there is nothing, .* in ${used}`))
    t.notMatch(err, /vault-missing/)
  })
  await t.test('that of another role in the same cluster is none of its own', async t => {
    const vault = join(host.folder, 'etc/vault/another')
    const env = { ENDOREG_DB_USER: 'another', ENDOREG_DB_NAME: 'another', ENDOREG_VAULT_FILE: vault }
    const setup = async (others = {}): Promise<readonly unknown[]> => {
      const { code, err, json } = await host.run('postgres-endoreg-setup', [], { env: others })
      t.equal(code, 0, err)
      // Both declare the rules of their own role.
      return json.changes.filter(({ resource }) => !/pg_hba/.test(resource))
    }
    await setup(env)
    t.same([await setup(), await setup(env)], [[], []], 'neither forgets the other')
    rmSync(vault)
    await setup(env)
    t.ok(existsSync(vault))
    await setup()
  })
  await t.test('the same place without a file gets a new one', async t => {
    rmSync(used)
    t.equal((await host.setup()).code, 0)
    t.notSame(await verifier(), before)
    t.same((await host.setup()).json.changes, [])
  })
  await t.test('moved as it was said, it is the vault file from then on', async t => {
    mkdirSync(dirname(typed))
    renameSync(used, typed)
    host.env['ENDOREG_VAULT_FILE'] = typed
    const moved = await host.setup()
    t.equal(moved.code, 0, moved.err)
    if (isRoot)
      t.match(
        moved.err,
        `remember that the password of the role endoregDbLocal is the one from the vault file ${typed}`,
      )
    t.same((await host.setup()).json.changes, [])
    const password = readFileSync(typed, 'utf8')
    const back = await host.run('sync-password', [], { env: { ENDOREG_VAULT_FILE: used } })
    t.equal(back.code, isRoot ? 78 : 0, back.err)
    t.equal(readFileSync(typed, 'utf8'), password)
  })
  await t.test('where the one from before is gone, a new one is generated', async t => {
    rmSync(dirname(typed), { recursive: true })
    host.env['ENDOREG_VAULT_FILE'] = used
    t.equal((await host.setup()).code, 0)
    t.ok(existsSync(used))
  })
})
