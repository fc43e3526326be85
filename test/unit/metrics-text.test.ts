import t from 'tap'
import { toText } from '../../lib/frame/metrics.ts'
import { needsPromtool, promtool } from '../support/metrics.ts'

const name = 'endoreg_last_login_timestamp_seconds'

t.test('samples of one name are together, below their help and type', async t => {
  const text = toText([
    { name: 'endoreg_backups', value: 7 },
    { name, labels: { role: 'one', address: '::1' }, value: 1.5 },
    { name: 'endoreg_last_backup_size_bytes', value: 2 ** 53 - 1 },
    { name, labels: { role: 'one', address: '127.0.0.1' }, value: 1_700_000_000.123 },
  ])
  t.equal(
    text,
    `# HELP endoreg_backups Complete backups that are kept on this host.
# TYPE endoreg_backups gauge
endoreg_backups 7
# HELP ${name} When the login of a role at an address was last proved, in seconds since 1970.
# TYPE ${name} gauge
${name}{role="one",address="::1"} 1.5
${name}{role="one",address="127.0.0.1"} 1700000000.123
# HELP endoreg_last_backup_size_bytes Size of the last complete backup.
# TYPE endoreg_last_backup_size_bytes gauge
endoreg_last_backup_size_bytes 9007199254740991
`,
  )
  t.equal(toText([]), '')
})

t.test('what a label may hold', async t => {
  const odd = toText([{ name, labels: { role: 'a"b\\c\nd{}=, é\u2028', address: '' }, value: 0 }])
  t.ok(odd.endsWith(`${name}{role="a\\"b\\\\c\\nd{}=, é\u2028",address=""} 0\n`))
  await t.test('promtool reads it', needsPromtool, async t => {
    t.equal(promtool(['check', 'metrics'], odd), '0')
  })
})
