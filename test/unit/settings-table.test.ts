import { readFileSync } from 'node:fs'
import t from 'tap'
import { settingRows } from '../../lib/frame/settings.ts'
import { settingsFiles } from '../support/settings-table.ts'

t.test('what is made of the table of settings says what the table says', async t => {
  for (const [path, text] of settingsFiles()) {
    t.equal(
      readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'),
      text,
      'npm run generate writes it',
    )
  }
})

t.test('each setting is in the table once', async t => {
  const names = settingRows().map(({ name }) => name)
  t.strictSame(names, [...new Set(names)])
})
