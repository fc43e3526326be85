import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nextSecond, SCRAM_RULES, until } from './cluster.ts'
import type { Host } from './host.ts'

/** The major version of the PostgreSQL under test. */
export const MAJOR = Number(
  /\d+/.exec(
    execFileSync(join(process.env['TEST_POSTGRES_BIN'] ?? '', 'postgres'), ['--version'], {
      encoding: 'utf8',
    }),
  )?.[0],
)

export const settingsOf = (host: Host): string => join(host.cluster.data, 'postgresql.conf')
/** Where a server that is down would be looked for. */
export const data = (host: Host): Record<string, string> => ({ ENDOREG_PG_DATA: host.cluster.data })

/** Starts the server with other settings; `asBefore` takes them back. */
export async function restarted(host: Host, settings: Record<string, string>): Promise<void> {
  copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
  host.cluster.configure(settings)
  await host.cluster.restart()
}

/** Starts the server so that it listens at `addresses` only, where a test need not get in; `asBefore` takes that back. */
export async function listening(host: Host, addresses: string): Promise<void> {
  const { cluster } = host
  await cluster.stop()
  copyFileSync(settingsOf(host), `${settingsOf(host)}.kept`)
  cluster.configure({ listen_addresses: `'${addresses}'` })
  cluster.launch()
  await until(async () => existsSync(`${cluster.socket}/.s.PGSQL.${cluster.port}`) || undefined, 'it runs')
  await nextSecond()
}

/** The server with the settings and rules that it had. */
export async function asBefore(host: Host): Promise<void> {
  if (existsSync(`${settingsOf(host)}.kept`)) {
    writeFileSync(settingsOf(host), readFileSync(`${settingsOf(host)}.kept`))
    rmSync(`${settingsOf(host)}.kept`)
  }
  host.cluster.setRules(SCRAM_RULES)
  await host.cluster.restart()
}
