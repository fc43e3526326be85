import { existsSync, readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { SUPERUSER_PASSWORD } from './cluster.ts'
import { Host } from './host.ts'
import { type Fate, proxy } from './proxy.ts'

/** The settings with which a command's administrative session goes through the proxy, and the proof does not. */
export const through = (host: Host, port: number): Record<string, string> => ({
  PGHOST: '127.0.0.1',
  PGPORT: String(port),
  PGPASSWORD: SUPERUSER_PASSWORD,
  ENDOREG_DB_PORT: String(host.cluster.port),
  ENDOREG_READY_TIMEOUT: '10',
})

export async function provisioned(t: Test): Promise<Host> {
  const host = await Host.create(t)
  for (const result of [await host.setup(), await host.boot()]) t.equal(result.code, 0, result.err)
  return host
}

/** A host whose role has lost its password, so that every kind of statement is sent. */
export const drift = (host: Host) =>
  host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD NULL NOREPLICATION`)

export async function recovers(t: Test, host: Host): Promise<void> {
  for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
    const { code, err } = await host.run(command)
    t.equal(code, 0, err)
  }
  t.same((await host.sync('--check')).json.changes, [])
  t.equal(readFileSync(host.copy, 'utf8').trim(), host.vault())
  t.notOk(existsSync(`${host.vaultFile}.next`))
}

/** A command whose server is gone at each of its statements in turn, or only its session: one more run mends it. */
export async function loseEachStatement(
  t: Test,
  [command, ...args]: readonly [command: string, ...args: string[]],
  how: 'killed' | 'cut',
): Promise<void> {
  const host = await provisioned(t)
  for (let at = 1, met = true; met; at++) {
    met = false
    const decide = async (statement: number): Promise<Fate> => {
      if (statement !== at) return 'forward'
      met = true
      if (how === 'killed') await host.cluster.stop('SIGQUIT')
      return 'cut'
    }
    await drift(host)
    const port = await proxy(t, host.cluster.port, decide)
    const result = await host.run(command, args, { env: through(host, port) })
    if (met && how === 'killed') await host.cluster.start()
    await t.test(`at statement ${at}`, async t => {
      if (met) t.match(String(result.code), /^(?:0|69|74|75|77)$/, result.err)
      else t.equal(result.code, 0, result.err)
      await recovers(t, host)
    })
  }
}
