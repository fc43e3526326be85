import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BIN } from '../support/checkout.ts'
import { isRoot, runCommand } from '../support/command.ts'
import { Host } from '../support/host.ts'
import { LOUD } from '../support/loud.ts'

const DEBIAN_15 = '/usr/lib/postgresql/15'

/** What /proc shows of all processes and PostgreSQL of its sessions, while `work` is under way. */
async function sampling<T>(host: Host, work: Promise<T>, samples: Set<string>): Promise<T> {
  const watcher = await host.cluster.connect()
  let over = false
  const done = work.finally(() => {
    over = true
  })
  while (!over) {
    for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
      for (const file of ['cmdline', 'environ']) {
        try {
          samples.add(readFileSync(`/proc/${pid}/${file}`, 'latin1'))
        } catch {
          // It has ended, or belongs to somebody else.
        }
      }
    }
    const sessions = await watcher.query<{ query: string }>('SELECT query FROM pg_stat_activity')
    for (const { query } of sessions.rows) samples.add(query)
  }
  await watcher.end()
  return done
}

/** What must be found nowhere: the password and its base64. */
const forms = (password: string): string[] => [
  password,
  Buffer.from(password).toString('base64').replace(/=+$/, ''),
]

/** The files under `folder` that hold `text`, except for vault and copy. */
const holders = (folder: string, text: string): string[] => {
  const { stdout } = spawnSync('grep', ['-rlaF', '-e', text, folder], { encoding: 'utf8' })
  return stdout.split('\n').filter(path => path !== '' && !/\/(?:SCRT_password|db_pwd)$/.test(path))
}

t.test('the password is in the vault and in db_pwd, and nowhere else', async t => {
  const host = await Host.create(t, { settings: LOUD })
  await host.cluster.query('CREATE EXTENSION pg_stat_statements')
  host.env['TMPDIR'] = join(host.folder, 'tmp')
  mkdirSync(host.env['TMPDIR'], { mode: 0o1777 })
  const samples = new Set<string>()
  const passwords = new Set<string>()
  const texts: string[] = []
  const commands: [command: string, ...args: string[]][] = [
    ['postgres-endoreg-setup'],
    ['sync-password', '--json'],
    ['endo-api-boot'],
    ['sync-password', '--rotate', '--check'],
    ['sync-password', '--rotate'],
    ['sync-password', '--rotate', '--json'],
  ]
  for (const [command, ...args] of commands) {
    const run = runCommand(join(BIN, command), args, { env: host.env })
    const { out, err } = await sampling(host, run, samples)
    texts.push(out, err)
    passwords.add(host.vault())
  }
  // An error object with the password in reach.
  host.writeVault('a password\u0007with a bell\n')
  const refused = await host.sync()
  t.equal(refused.code, 78)
  t.notMatch(refused.out + refused.err, /with a bell/)
  host.writeVault([...passwords].at(-1) ?? '')

  t.ok(passwords.size >= 3)
  const [remembered] = await host.cluster.query(
    "SELECT string_agg(query, E'\\n') AS text FROM pg_stat_statements",
  )
  const loud = { log: host.cluster.logText(), pg_stat_statements: String(remembered?.['text']) }
  for (const [place, text] of Object.entries(loud)) {
    t.match(text, /pg_authid/, `${place} does tell of statements`)
    t.notMatch(text, /SCRAM-SHA-256\$\d/, `and ${place} of no verifier`)
    texts.push(text)
  }
  t.ok(
    [...samples].some(text => text.includes('--rotate')),
    'the samples do show the commands',
  )
  t.ok(
    [...samples].some(text => text.includes('rolcanlogin')),
    'and the statements',
  )
  t.notOk(
    [...samples].some(text => /SCRAM-SHA-256\$\d/.test(text)),
    'but no verifier',
  )
  for (const password of passwords) {
    for (const text of forms(password)) {
      t.notOk(
        texts.some(said => said.includes(text)),
        'not in the output',
      )
      t.notOk(
        [...samples].some(sample => sample.includes(text)),
        'not in arguments and environments',
      )
      t.same(holders(host.folder, text), [], 'in no file')
    }
  }
})

t.test('files are born with their mode, whatever the umask', { skip: strace() }, async t => {
  for (const umask of ['000', '077', '777']) {
    const host = await Host.create(t)
    const log = join(host.folder, 'strace.log')
    // Made before: with such a mask an ordinary account could not read it.
    writeFileSync(log, '')
    for (const command of ['postgres-endoreg-setup', 'sync-password']) {
      const script = `umask ${umask}; exec strace -f -o '${log}' -e trace=openat,fchmod,rename,link '${BIN}/${command}'`
      const { code, err } = await runCommand('sh', ['-c', script], { env: host.env })
      t.equal(code, 0, err)
      const born = readFileSync(log, 'utf8').matchAll(/openat\([^\n]*\.tmp", [A-Z_|]*O_CREAT[A-Z_|]*, (\d+)/g)
      const modes = [...born].map(([, mode]) => mode)
      t.ok(modes.length > 0)
      for (const mode of modes) t.equal(mode, '0600', `${command}, umask ${umask}`)
    }
    t.equal((await host.sync('--check')).code, 0, 'and end with the right one')
  }
})

function strace(): string | false {
  return spawnSync('strace', ['-V']).status === 0 ? false : 'no strace on this machine'
}

t.test('nor does pgaudit write a verifier', { skip: pgaudit() }, async t => {
  const host = await Host.create(t, {
    bin: join(DEBIAN_15, 'bin'),
    template: undefined,
    settings: { shared_preload_libraries: 'pgaudit', 'pgaudit.log': "'all'", 'pgaudit.log_parameter': 'on' },
  })
  await host.cluster.query('CREATE EXTENSION pgaudit')
  for (const result of [await host.setup(), await host.sync('--rotate')]) t.equal(result.code, 0, result.err)
  t.match(host.cluster.logText(), /AUDIT: SESSION.*CREATE ROLE/, 'the log does audit')
  t.notMatch(host.cluster.logText(), /SCRAM-SHA-256\$\d/)
  t.notOk(host.cluster.logText().includes(host.vault()))
})

function pgaudit(): string | false {
  if (!existsSync(join(DEBIAN_15, 'lib/pgaudit.so')))
    return 'no pgaudit for Debian PostgreSQL 15 on this machine'
  try {
    if (isRoot) execFileSync(join(DEBIAN_15, 'bin/postgres'), ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'the PostgreSQL 15 of this machine does not run'
  }
}
