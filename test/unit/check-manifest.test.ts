import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { BIN } from '../support/checkout.ts'

const SETUP = join(BIN, 'postgres-endoreg-setup')
const EXAMPLE = fileURLToPath(new URL('../../units/manifest.gc-10.json', import.meta.url))

/** Checks what `env` says and a manifest of `content`; nothing listens where the settings say PostgreSQL is. */
function check(t: Test, env: Readonly<Record<string, string>>, content?: string) {
  const folder = t.testdir({ 'provision.env': '', 'manifest.json': content ?? '' })
  const declared = content === undefined ? {} : { ENDOREG_MANIFEST: join(folder, 'manifest.json') }
  const { status, stdout, stderr } = spawnSync(
    SETUP,
    ['--check-manifest', '--env-file', join(folder, 'provision.env')],
    { encoding: 'utf8', env: { PATH: process.env['PATH'], PGHOST: folder, ...declared, ...env } },
  )
  return { code: status, out: stdout, err: stderr }
}

t.test('the manifest that ships, and the example, without a server', async t => {
  t.strictSame(check(t, {}), {
    code: 0,
    out: '',
    err: 'postgres-endoreg-setup: settings and manifest are right: 8 roles, 9 databases, 6 access rules, 6 identity mappings\n',
  })
  t.match(check(t, { ENDOREG_MANIFEST: EXAMPLE }), { code: 0, err: 'are right' })
})

t.test('a wrong manifest, a missing one and a wrong setting are 78', async t => {
  const application = { roles: [{ name: 'endoregDbLocal' }], databases: [] }
  t.match(check(t, {}, JSON.stringify(application)), {
    code: 78,
    err: '"endoregDbLocal" (ENDOREG_DB_NAME) is missing',
  })
  t.match(check(t, {}, '{\n  "roles": ['), {
    code: 78,
    err: /cannot read the manifest .*: it is no JSON: line 2, column 13: expected a value or \]\n/,
  })
  t.match(
    check(
      t,
      {},
      `\ufeff${JSON.stringify({ ...application, databases: [{ name: 'endoregDbLocal', owner: 'x' }] })}`,
    ),
    {
      code: 0,
    },
  )
  t.match(check(t, { ENDOREG_MANIFEST: '/nowhere/manifest.json' }), {
    code: 78,
    err: 'there is no such file',
  })
  t.match(check(t, { ENDOREG_DB_PORT: 'none' }), { code: 78, err: 'ENDOREG_DB_PORT' })
})
