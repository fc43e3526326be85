import { join } from 'node:path'
import t from 'tap'
import { askFits } from '../../lib/server/access/decide.ts'
import { inspectAccessFiles } from '../../lib/server/access/inspect.ts'
import { makeCertificate, withoutOpenssl } from '../support/certificate.ts'
import { isRoot } from '../support/command.ts'
import { CREATE_ROLES, randomRuleFile, randomTrial, type Trial } from '../support/hba-logins.ts'
import { Host } from '../support/host.ts'
import { type Answer, knock } from '../support/knock.ts'
import { Random } from '../support/random.ts'

const FILES = Number(process.env['TEST_FILES'] ?? 200)
const TRIALS = 16
/** Milliseconds that a statement gets. */
const LIMIT = 10_000

/** The way in of the test itself. */
const OWN_RULE = 'host postgres postgres 127.0.0.1/32 scram-sha-256\n'

t.test('the rule that decides is the one by which PostgreSQL goes', async t => {
  const tls = withoutOpenssl === false
  if (withoutOpenssl) t.comment(withoutOpenssl)
  const host = await Host.create(t, {
    settings: { listen_addresses: "'*'", ...(tls ? { ssl: 'on' } : {}) },
    start: false,
  })
  const { cluster } = host
  if (tls) makeCertificate(cluster.data)
  await cluster.start()
  await cluster.query(CREATE_ROLES)
  const client = await cluster.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query<{ major: number }>(
    "SELECT current_setting('server_version_num')::int / 10000 AS major",
  )
  const major = rows[0]?.major ?? 0
  const random = new Random(Number(process.env['TEST_SEED'] ?? 1))
  const tally = new Map<Answer, number>()
  const loaded = async (): Promise<string> =>
    String((await client.query('SELECT pg_conf_load_time()::text AS at')).rows[0]?.at)

  for (let file = 0; file < FILES; file++) {
    const named = isRoot && random.once(4)
    const rules = OWN_RULE + randomRuleFile(random, named)
    cluster.setRules(rules)
    const access = await inspectAccessFiles(client, LIMIT)
    if (access.ruleErrors.length > 0) t.fail('refused', { rules, errors: access.ruleErrors })
    const before = await loaded()
    await client.query('SELECT pg_reload_conf()')
    while ((await loaded()) === before);
    const trials = Array.from({ length: TRIALS }, () => randomTrial(random, named, tls))
    const answers = await Promise.all(trials.map(trial => ask(trial)))
    const attempts = trials.map(({ attempt }) => attempt)
    const judge = (await askFits(client, LIMIT, major, access.rules, attempts)).judge(access.rules)
    trials.forEach(({ attempt }, index) => {
      const { decides } = judge(attempt)
      const ours = decides?.method ?? 'no rule'
      const theirs = answers[index] ?? 'no rule'
      tally.set(theirs, (tally.get(theirs) ?? 0) + 1)
      if (ours !== theirs) t.fail('they differ', { rules, attempt, ours, theirs, decides })
    })
  }

  t.notMatch(cluster.logText(), /was not reloaded/, 'PostgreSQL took every file')
  t.comment(
    `PostgreSQL ${major}, ${FILES} files, ${FILES * TRIALS} logins: ${JSON.stringify(Object.fromEntries(tally))}`,
  )
  for (const answer of ['trust', 'reject', 'password', 'scram-sha-256', 'no rule'] as const) {
    t.ok((tally.get(answer) ?? 0) > (FILES * TRIALS) / 50, `enough of ${answer}`)
  }

  function ask({ attempt, host }: Trial): Promise<Answer> {
    const { role, database, replication = false } = attempt
    const { socket, port } = cluster
    if (attempt.type === 'local')
      return knock({ to: { path: join(socket, `.s.PGSQL.${port}`) }, role, database, replication })
    return knock({ to: { host, port, from: attempt.address, ssl: attempt.ssl }, role, database, replication })
  }
})
