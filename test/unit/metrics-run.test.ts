import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leaveBackup } from '../../lib/backup/metrics.ts'
import { describeRun } from '../../lib/frame/metrics.ts'
import type { Command } from '../../lib/frame/run.ts'
import { leave } from '../../lib/host/metrics.ts'
import { values } from '../support/metrics.ts'
import { aRun, backup, ownFolder } from '../support/shelf.ts'

const command: Command = {
  name: 'a-test',
  summary: '',
  runsAs: 'root',
  kinds: ['drill', 'list'],
}

type Given = Parameters<typeof aRun>[1]

/** What is left of a run that ended with `code`, by name and labels; and the names of the files. */
async function left(
  t: Parameters<typeof ownFolder>[0],
  code: number,
  given: Given = {},
  over: Partial<Command> = {},
) {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_METRICS_DIR: folder }, given)
  run.report.change({ resource: 'r', action: 'a' })
  await leave(run, describeRun({ ...command, ...over }, run, code))
  return { files: readdirSync(folder).sort(), found: values(folder) }
}

t.test('which runs succeeded', async t => {
  for (const [code, success] of [
    [0, 1],
    [1, 1],
    [64, 0],
    [70, 0],
    [75, 0],
  ] as const) {
    const { files, found } = await left(t, code)
    t.equal(found['endoreg_last_run_success{command="a-test",mode="run"}'], success, `${code}`)
    t.equal(found['endoreg_last_run_exit_code{command="a-test",mode="run"}'], code)
    t.equal(found['endoreg_last_run_changes{command="a-test",mode="run"}'], 1)
    t.equal(files.includes('endoreg_a-test_success.prom'), success === 1, `${code}`)
  }
})

t.test('runs of other kinds hide none', async t => {
  const files = async (given: Given) => (await left(t, 0, given)).files
  t.same(await files({ flags: ['drill'] }), [
    'endoreg_a-test_drill.prom',
    'endoreg_a-test_drill_success.prom',
  ])
  t.same(await files({ values: { drill: 'x' } }), [
    'endoreg_a-test_drill.prom',
    'endoreg_a-test_drill_success.prom',
  ])
  t.same(await files({ flags: ['drill'], check: true }), [
    'endoreg_a-test_drill-check.prom',
    'endoreg_a-test_drill-check_success.prom',
  ])
  t.same(await files({ check: true }), [
    'endoreg_a-test_check.prom',
    'endoreg_a-test_check_success.prom',
    'endoreg_a-test_drift.prom',
  ])
  t.ok((await files({ flags: ['other'] })).includes('endoreg_a-test.prom'), 'no kind of its own')
})

t.test('what is still to be changed', async t => {
  const drift = async (code: number, given: Given = {}, over: Partial<Command> = {}) =>
    (await left(t, code, given, over)).found['endoreg_drift_changes{command="a-test"}']
  const check = { check: true }
  t.equal(await drift(0), 0, 'a run has made it')
  t.equal(await drift(1), undefined, 'a run that found something amiss cannot tell')
  t.equal(await drift(74), undefined)
  t.equal(await drift(1, check), 1)
  t.equal(await drift(0, check), 1)
  t.equal(await drift(74, check), undefined)
  t.equal(await drift(0, {}, { onlyLooks: true }), undefined)
  t.equal(await drift(0, { flags: ['drill'] }), undefined)
  t.equal(await drift(1, { flags: ['drill'], check: true }), undefined)
})

t.test('the last backup, the oldest, and how many', async t => {
  const on = (day: number) => ({ ...backup(`2026-11-${day}T02-00-00Z`), size: day })
  const finished = (day: number): number => Date.parse(`2026-11-${day}T02:00:00Z`) / 1000
  const copy = 'endoreg_restic_copy.prom'
  const leave = async (kept: number[], env: Record<string, string> = {}) => {
    const folder = ownFolder(t)
    writeFileSync(join(folder, copy), '')
    await leaveBackup(aRun({ ENDOREG_METRICS_DIR: folder, ...env }), on(22), kept.map(on))
    return { found: values(folder), isCopied: readdirSync(folder).includes(copy) }
  }
  const { found, isCopied } = await leave([20, 21, 22])
  t.same(found, {
    endoreg_last_backup_timestamp_seconds: finished(22),
    endoreg_last_backup_databases_missing: 0,
    endoreg_last_backup_size_bytes: 22,
    endoreg_oldest_backup_timestamp_seconds: finished(20),
    endoreg_backups: 3,
  })
  t.notOk(isCopied, 'without a repository there is no last copy')
  t.match((await leave([])).found, {
    endoreg_oldest_backup_timestamp_seconds: finished(22),
    endoreg_backups: 0,
  })
  t.ok((await leave([22], { RESTIC_REPOSITORY: '/r' })).isCopied)
  t.ok((await leave([22], { RESTIC_REPOSITORY_FILE: '/r' })).isCopied)
})
