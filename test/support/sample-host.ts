import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { ClusterOptions } from './cluster.ts'
import type { Result, RunOptions } from './command.ts'
import { fullPostgres } from './full-postgres.ts'
import { Host } from './host.ts'
import { makeSample } from './sample-database.ts'

const SHIPPED = new URL('../../units/manifest.json', import.meta.url)

/** Consent to whatever is replaced. */
export const YES = ['--yes-overwrite', hostname()]

/** A host with all programs of PostgreSQL, where nothing writes by itself, and with the application's role and database alone. */
export async function bareHost(
  t: Parameters<typeof Host.create>[0],
  options: Partial<ClusterOptions> = {},
): Promise<Host> {
  const { settings, ...others } = options
  const host = await Host.create(t, {
    ...fullPostgres,
    ...others,
    settings: { autovacuum: 'off', ...settings },
  })
  const manifest = JSON.parse(readFileSync(SHIPPED, 'utf8'))
  const path = join(host.folder, 'manifest.json')
  const roles = [{ name: 'endoregDbLocal' }]
  const databases = [{ name: 'endoregDbLocal', owner: 'endoregDbLocal' }]
  writeFileSync(path, JSON.stringify({ ...manifest, roles, databases, $schema: undefined }))
  host.env['ENDOREG_MANIFEST'] = path
  host.env['ENDOREG_BACKUP_DIR'] = join(host.folder, 'backups')
  host.env['TMPDIR'] = join(host.folder, 'tmp')
  mkdirSync(host.env['TMPDIR'])
  chmodSync(host.env['TMPDIR'], 0o1777)
  return host
}

/** The same after its setup, with the sample in it. */
export async function sampleHost(...args: Parameters<typeof bareHost>): Promise<Host> {
  const host = await bareHost(...args)
  ended(await host.setup(), 0)
  await makeSample(host)
  return host
}

/** Makes a backup, and gives its name. */
export async function backUp(host: Host): Promise<string> {
  const { err } = ended(await host.run('backup-postgres'), 0)
  return /\/backups\/([\dTZ-]+): make/.exec(err)?.[1] ?? ''
}

/** Runs restore-postgres with consent. */
export const restore = (
  host: Host,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Result> => host.run('restore-postgres', [...YES, ...args], options)

/** `result`, of a run that should have ended with `code`. */
export function ended(result: Result, code: number): Result {
  if (result.code !== code) throw new Error(`ended with ${result.code}, not ${code}: ${result.err}`)
  return result
}
