import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { changesIds } from '../../lib/host/identity.ts'
import { askMap } from '../../lib/server/access/identity-map.ts'
import { inspectAccessFiles } from '../../lib/server/access/inspect.ts'
import { isRoot } from '../support/command.ts'
import { CREATE_ROLES } from '../support/hba-logins.ts'
import { Host } from '../support/host.ts'
import { knock } from '../support/knock.ts'
import { choices, Random } from '../support/random.ts'

const FILES = 60
const TRIALS = 20
/** Milliseconds that a statement gets. */
const LIMIT = 10_000

const ACCOUNTS = choices('root  postgres  admin  stranger  endoreg-service-user')
const ACCOUNT_TOKENS = choices(`
  root  postgres  admin  "admin"  stranger  all  Admin  /^(.*)$  /^(.*)$  /^(ad|admin)(.*)$  /^(post).*$
  /^endoreg-(.*)-user$  /^[ap]  /^(x?)  /(x)?  /a(d)?m  /(.)(.)$  /^(?:(ad)|post)  /(a+?).*$  /^(.*?)(er|min)?$
  /(?i)^ADMIN$  /^([a-z]+)(-[a-z]+)*$  "/^(a.*)$"  /^((a|p)[a-z])*`)
const ROLE_TOKENS = choices(String.raw`
  \1  \1  \1  "\1"  x\1  \1in  \1\1  +\1  all  "all"  +staff  "+staff"  alice  admin  postgres  /^a  "/min$"  ad`)
const ROLES = choices(String.raw`
  service  post  ad  alice  carol  boss  all  min  er  a  d  xadmin  admin\1  adad  st  stri  +staff  endoreg  minin`)

const line = (random: Random): string =>
  [random.pick(['m', 'm', 'm', 'n']), random.pick(ACCOUNT_TOKENS), random.pick(ROLE_TOKENS)].join(' ')

t.test('an account logs in as the roles that its map allows', { skip: !isRoot && 'needs root' }, async t => {
  if (!changesIds()) return t.comment('this Node.js changes no ids')
  const host = await Host.create(t)
  const { cluster } = host
  await cluster.query(CREATE_ROLES)
  cluster.setRules(`
    host postgres postgres 127.0.0.1/32 scram-sha-256
    local plain all peer
    local all all peer map=m`)
  const client = await cluster.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num')
  const major = Math.floor(Number(rows[0]?.server_version_num) / 10_000)
  const path = join(cluster.socket, `.s.PGSQL.${cluster.port}`)
  const file = join(cluster.data, 'pg_ident.conf')
  const random = new Random(Number(process.env['TEST_SEED'] ?? 1))
  const count = { allowed: 0, refused: 0 }
  for (let round = 0; round < FILES; round++) {
    const text = `${random.many(2, 8, () => line(random)).join('\n')}\n`
    writeFileSync(file, text)
    await cluster.reload()
    const { mappings, mappingErrors } = await inspectAccessFiles(client, LIMIT)
    if (mappingErrors.length > 0) t.fail('refused', { text, errors: mappingErrors })
    const trials = Array.from({ length: TRIALS }, () => {
      const name = random.pick(ACCOUNTS)
      const role = random.pick([name, random.pick(ACCOUNTS), random.pick(ROLES)])
      return { name, role, map: random.once(8) ? '' : 'm' }
    })
    const answers = await Promise.all(
      trials.map(({ name, role, map }) => {
        const account = findAccount(name)
        if (!account) throw new Error(`no account ${name}`)
        const database = map ? 'postgres' : 'plain'
        return knock({ to: { path, account }, role, database, replication: false })
      }),
    )
    for (const [index, { name, role, map }] of trials.entries()) {
      const ours = await askMap(client, LIMIT, major, mappings, { map, account: name, role })
      const theirs = answers[index] === 'trust'
      count[theirs ? 'allowed' : 'refused'] += 1
      if (ours !== theirs) t.fail('they differ', { text, name, role, map, ours, theirs: answers[index] })
    }
  }
  t.notMatch(cluster.logText(), /was not reloaded/, 'PostgreSQL took every file')
  t.comment(`PostgreSQL ${major}, ${FILES} files: ${JSON.stringify(count)}`)
  t.ok(Math.min(count.allowed, count.refused) > (FILES * TRIALS) / 30, 'enough of both')
})
