import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import * as v from 'valibot'
import { parse } from 'yaml'
import { HELP } from '../../lib/frame/metrics.ts'
import { needsPromtool, promtool } from '../support/metrics.ts'

const RULES = fileURLToPath(new URL('../../units/prometheus/endoreg-provision.rules.yml', import.meta.url))
const TESTS = fileURLToPath(new URL('../support/alerts.yml', import.meta.url))
const LIMITS = fileURLToPath(new URL('../support/alert-limits.yml', import.meta.url))

const rule = v.strictObject({
  alert: v.string(),
  expr: v.string(),
  for: v.string(),
  labels: v.strictObject({ severity: v.picklist(['critical', 'warning']) }),
  annotations: v.strictObject({ summary: v.string(), description: v.string() }),
})
const file = v.strictObject({
  groups: v.array(v.strictObject({ name: v.string(), rules: v.array(rule) })),
})
/** What the collectors of node_exporter and Prometheus itself have. */
const FOREIGN = ['node_boot_time_seconds']

t.test('every alert says how bad it is and what to do, of metrics that there are', async t => {
  const { groups } = v.parse(file, parse(readFileSync(RULES, 'utf8')))
  const tests = readFileSync(TESTS, 'utf8')
  const limits = readFileSync(LIMITS, 'utf8')
  for (const { alert, expr } of groups.flatMap(({ rules }) => rules)) {
    for (const [name] of expr.matchAll(/\b[a-z]+(?:_[a-z]+){2,}\b(?!\()/g))
      t.ok(name in HELP || FOREIGN.includes(name), `${alert}: ${name}`)
    t.match(tests, new RegExp(`alertname[=:] ?"?${alert}\\b`), `${alert} has a test`)
    t.match(limits, new RegExp(`alertname="${alert}"`), `${alert} has a test of its limits`)
  }
})

t.test(
  'promtool takes the rules, and each alert fires when it should and no sooner',
  needsPromtool,
  async t => {
    t.match(promtool(['check', 'rules', RULES]), /^0 .*SUCCESS: \d+ rules found/s)
    t.match(promtool(['test', 'rules', TESTS, LIMITS]), /^0 .*SUCCESS.*SUCCESS$/s)
  },
)
