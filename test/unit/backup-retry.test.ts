import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Description, Reason } from '../../lib/backup/terms.ts'
import { BIN } from '../support/checkout.ts'
import { runCommand } from '../support/command.ts'
import { backup } from '../support/doctor/facts.ts'

const MINUTE = 60_000

/** A backup that was finished so many minutes ago, in a folder of its own. */
type Made = { readonly name: string; readonly age: number; readonly reason?: Reason }

/** Whether a run with --retry would copy the newest backup, rather than make another one. */
async function copies(folder: string, retry: string, made: readonly Made[], pending: string) {
  const [backups, state] = [join(folder, 'backups'), join(folder, 'state')]
  for (const path of [backups, state]) mkdirSync(path, { recursive: true, mode: 0o700 })
  for (const { name, age, reason = 'regular' } of made) {
    const finished = new Date(Date.now() - age * MINUTE)
    const description: Description = { ...backup(finished, { reason }).description, name }
    mkdirSync(join(backups, name), { mode: 0o700 })
    writeFileSync(join(backups, name, 'manifest.json'), JSON.stringify(description))
  }
  writeFileSync(join(state, 'copying'), `${pending}\n`, { mode: 0o600 })
  const result = await runCommand(
    join(BIN, 'backup-postgres'),
    ['--json', '--check', '--no-copy', `--retry=${retry}`],
    {
      env: {
        PATH: [process.env['TEST_NODE_BIN'], process.env['PATH']].filter(Boolean).join(':'),
        ENDOREG_BACKUP_DIR: backups,
        ENDOREG_STATE_DIR: state,
      },
    },
  )
  const copied = /was made by the last attempt: only its copy is missing/.test(result.err)
  const resources = result.code === 64 ? [] : result.json.changes.map(({ resource }) => resource)
  return { code: result.code, err: result.err, copied, makes: resources.some(name => /^backup /.test(name)) }
}

const NAME = '2026-11-26T02-00-00Z'
const EARLIER = '2026-11-25T02-00-00Z'
const LATER = '2026-11-26T03-00-00Z-before-restore'

t.test('a backup whose copy failed is copied while it is young enough, and made anew else', async t => {
  const rows: readonly (readonly [
    what: string,
    retry: string,
    made: readonly Made[],
    pending: string,
    boolean,
  ])[] = [
    ['50 minutes old, of 60', '60', [{ name: NAME, age: 50 }], NAME, true],
    ['70 minutes old, of 60', '60', [{ name: NAME, age: 70 }], NAME, false],
    ['almost a day old, of a day', '1440', [{ name: NAME, age: 1400 }], NAME, true],
    ['more than a day old, of a day', '1440', [{ name: NAME, age: 1450 }], NAME, false],
    ['of a time that is still to come', '60', [{ name: NAME, age: -10 }], NAME, false],
    ['copied already', '60', [{ name: NAME, age: 5 }], '', false],
    ['another one failed to be copied', '60', [{ name: NAME, age: 5 }], EARLIER, false],
    [
      'not the newest',
      '60',
      [
        { name: EARLIER, age: 6 },
        { name: NAME, age: 5 },
      ],
      EARLIER,
      false,
    ],
    [
      'the newest of the regular ones',
      '60',
      [
        { name: NAME, age: 5 },
        { name: LATER, age: 1, reason: 'before-restore' },
      ],
      NAME,
      true,
    ],
    [
      'made before something, which no timer makes',
      '60',
      [{ name: LATER, age: 1, reason: 'before-restore' }],
      LATER,
      false,
    ],
    ['none', '60', [], NAME, false],
  ]
  for (const [index, [what, retry, made, pending, wanted]] of rows.entries()) {
    const folder = t.testdir({ [String(index)]: {} })
    chmodSync(folder, 0o755)
    const found = await copies(join(folder, String(index)), retry, made, pending)
    t.same(
      [found.copied, found.makes, found.code],
      [wanted, !wanted, wanted ? 0 : 1],
      `${what}: ${found.err}`,
    )
  }
})

t.test('minutes are a whole number, of a day at most', async t => {
  const folder = join(t.testdir({ x: {} }), 'x')
  for (const retry of ['0', '-1', '01', '1.5', '1441', '10000', '60m', ''])
    t.equal((await copies(join(folder, `of ${retry}`), retry, [], '')).code, 64, JSON.stringify(retry))
})
