import t from 'tap'
import { describeRun, isOfRun, type MetricsFile, ofOneRun, toText } from '../../lib/frame/metrics.ts'
import type { Command } from '../../lib/frame/run.ts'
import { aRun } from '../support/shelf.ts'

const NAME = 'a-test'
const command: Command = { name: NAME, summary: '', runsAs: 'nobody' }

/** What a run for `role` leaves that logged in at the usual addresses. */
function left(role = 'r', code = 0): readonly MetricsFile[] {
  const run = aRun({ ENDOREG_DB_USER: role })
  for (const address of ['::1', '127.0.0.1', 'fe80::1%eth0'])
    run.report.checked({ name: `login ${role} ${address}`, ok: true })
  run.report.change({ resource: 'r', action: 'a' })
  return describeRun(command, run, code).files
}

t.test('all that a run leaves is its own', async t => {
  for (const role of ['r', 'endoregDbLocal', String.raw`of/../"odd\role" é`, 'a@b']) {
    for (const code of [0, 75, 78]) {
      const files = left(role, code)
      t.equal(files.length, code === 0 ? 6 : 4)
      for (const file of files) t.ok(isOfRun(file, NAME, role), `${role} ${code} ${file.name}`)
    }
  }
})

t.test('and nothing else', async t => {
  const files = left()
  const named = (end: string): MetricsFile =>
    files.find(({ name }) => name.endsWith(end)) ?? { name: '', text: '' }
  const result = named('a-test.prom')
  const success = named('success.prom')
  const login = named('@::1.prom')
  const changed = (file: MetricsFile, from: string | RegExp, to: string): MetricsFile => {
    const text = file.text.replace(from, to)
    if (text === file.text) t.fail(`nothing was changed: ${from}`)
    return { ...file, text }
  }
  const now = Date.now() / 1000
  const cases: Readonly<Record<string, MetricsFile>> = {
    'another name': { ...result, name: 'endoreg_backup.prom' },
    'the name of another command': { ...result, name: 'endoreg_backup-postgres.prom' },
    'a mode that is none of its unit': { ...result, name: 'endoreg_a-test_check.prom' },
    'another command': changed(result, /command="a-test"/g, 'command="backup-postgres"'),
    'another command in one line': changed(result, 'command="a-test"', 'command="backup-postgres"'),
    'another mode': changed(result, /mode="run"/g, 'mode="drill"'),
    'one more label': changed(result, 'mode="run"', 'mode="run",instance="x"'),
    'one more metric': { ...result, text: result.text + toText([{ name: 'endoreg_backups', value: 7 }]) },
    'a metric twice': { ...success, text: success.text + success.text },
    'a metric that is not ours': changed(
      success,
      /endoreg_last_success_timestamp_seconds/g,
      'node_boot_time_seconds',
    ),
    'one metric less': changed(result, /# HELP endoreg_last_run_changes(?:.|\n)*$/, ''),
    'another help, which the collector does not take': changed(
      result,
      '# HELP endoreg_last_run_exit_code The',
      '# HELP endoreg_last_run_exit_code A',
    ),
    'a comment': { ...result, text: `${result.text}# more\n` },
    'no end': changed(result, /\n$/, ''),
    'no number': changed(result, / \d+\n$/, ' NaN\n'),
    'another number': changed(result, / \d+\n$/, ' 1e5\n'),
    'a number below all': changed(result, / \d+\n$/, ' -1\n'),
    nothing: { ...result, text: '' },
    'a time to come': changed(success, / [\d.]+\n$/, ` ${Math.round(now + 86_400)}\n`),
    'a login of another role': changed(login, 'role="r"', 'role="admin"'),
    'a login elsewhere': changed(login, 'address="::1"', 'address="10.0.0.1"'),
    'a proof to come': changed(login, / [\d.]+\n$/, ' 9999999999\n'),
    'two logins': { ...login, text: login.text + login.text },
    'a name of the language': { name: '__proto__', text: '' },
  }
  for (const [name, file] of Object.entries(cases)) t.notOk(isOfRun(file, NAME, 'r'), name)
  t.notOk(isOfRun(login, NAME, 'other'))
  t.ok(isOfRun(changed(success, / [\d.]+\n$/, ' 5\n'), NAME, 'r'), 'a time that is past')
})

t.test('logins that are made up grow no more', async t => {
  const good = left('r', 0)
  const logins = good.filter(({ name }) => name.includes('login')).map(({ name }) => name)
  t.same(ofOneRun(good, NAME), { files: good, families: [{ prefix: 'endoreg_login_', keep: logins }] })
  const failed = left('r', 75)
  t.equal(failed.length, 4)
  t.same(ofOneRun(failed, NAME), { files: failed.slice(0, 1) })
})
