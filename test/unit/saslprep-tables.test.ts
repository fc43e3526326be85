import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const { status, stdout } = spawnSync('python3', [at('test/support/saslprep-tables.py')], { encoding: 'utf8' })

t.test(
  'the tables are those of RFC 3454',
  { skip: status === 0 ? false : 'no python3 on this machine' },
  async t => {
    t.strictSame(JSON.parse(stdout), JSON.parse(readFileSync(at('lib/server/saslprep-tables.json'), 'utf8')))
  },
)
