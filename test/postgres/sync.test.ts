import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Host } from '../support/host.ts'

const agree = async (host: Host): Promise<boolean> => {
  const check = await host.sync('--check')
  return check.code === 0 && readFileSync(host.copy, 'utf8').trim() === host.vault()
}

t.test('vault, PostgreSQL and db_pwd agree afterwards, and it says which differed', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  const cases: [name: string, disturb: () => unknown, resources: RegExp[], words: RegExp][] = [
    ['nothing', () => {}, [], /vault, PostgreSQL and db_pwd agreed already/],
    [
      'PostgreSQL',
      () => host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'other'`),
      [/^role endoregDbLocal$/],
      /; PostgreSQL had differed$/m,
    ],
    ['the copy', () => writeFileSync(host.copy, 'other\n'), [/db_pwd$/], /; db_pwd had differed$/m],
    ['a missing copy', () => rmSync(host.copy), [/db_pwd$/], /; db_pwd had differed$/m],
    ['the mode of the copy', () => chmodSync(host.copy, 0o644), [/db_pwd$/], /agreed already/],
    [
      'the vault',
      () => writeFileSync(host.vaultFile, 'by hand\n'),
      [/^role/, /db_pwd$/],
      /; PostgreSQL and db_pwd had differed$/m,
    ],
    [
      'a missing vault',
      () => rmSync(host.vaultFile),
      [/^vault file/, /^role/, /db_pwd$/],
      /; the vault and PostgreSQL and db_pwd had differed$/m,
    ],
  ]
  for (const [name, disturb, resources, words] of cases) {
    await t.test(name, async t => {
      await disturb()
      const result = await host.sync()
      t.equal(result.code, 0, result.err)
      t.equal(result.json.changes.length, resources.length)
      t.match(
        result.json.changes.map(({ resource }) => resource),
        resources,
      )
      t.match(result.err, words)
      t.ok(await agree(host))
      t.equal(statSync(host.copy).mode & 0o7777, 0o600)
    })
  }
})

t.test('without a checkout db_pwd is left to endo-api-boot', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  rmSync(host.apiDir, { recursive: true })
  const result = await host.sync()
  t.equal(result.code, 0, result.err)
  t.match(result.err, /no checkout .* db_pwd is left to endo-api-boot/)
  t.notOk(existsSync(host.apiDir))
})

t.test('without the role it says who creates it', async t => {
  const host = await Host.create(t)
  const result = await host.sync()
  t.equal(result.code, 78, result.err)
  t.match(result.json.error?.hint, /postgres-endoreg-setup/)
  t.notOk(existsSync(host.vaultFile))
})
