import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Finding } from '../../lib/frame/finding.ts'
import type { ClusterOptions } from './cluster.ts'
import type { Result, RunOptions } from './command.ts'
import { worded } from './doctor/words.ts'
import { Host } from './host.ts'
import type { PrivateEtc } from './private-etc.ts'

/** A host that is broken in one way. */
export type Row = {
  /** How it is broken, in words. */
  readonly name: string
  readonly breaks: (host: Host) => unknown
  /** The findings, by id and, where it is worth it, subject: exactly these and no others. */
  readonly finds: readonly string[]
  /** What fix-postgres is said to do about the first of them. */
  readonly fix?: Finding['fix']
  /** Whether the diagnosis is clean after fix-postgres --yes. */
  readonly mended?: true
  /** How the test mends what fix-postgres does not. */
  readonly restores?: (host: Host) => unknown
  readonly env?: (host: Host) => Record<string, string>
  /** The account that runs the diagnosis, instead of root. */
  readonly as?: string
  /** The /etc that the commands see. */
  readonly within?: PrivateEtc
  /** What the text of the first finding has to say; where there is none, what is told beside. */
  readonly says: RegExp
  readonly skip?: string | false
}

type Diagnosed = Result & { readonly findings: readonly Finding[] }

/** A host on which everything is as it should be, and the commands that look at it. */
export class SoundHost {
  readonly host: Host
  /** What is found on it all the same: advice, such as data checksums that are off. */
  #advice: readonly string[] = []

  private constructor(host: Host) {
    this.host = host
  }

  static async create(
    t: Test,
    env: Readonly<Record<string, string>> = {},
    options: Partial<ClusterOptions> = {},
  ): Promise<SoundHost> {
    const sound = new SoundHost(await Host.create(t, options))
    const { host } = sound
    Object.assign(host.env, env)
    await standInTools(host)
    await sound.settle()
    const { findings, err } = await sound.debug()
    // The major version under test may have come to its end meanwhile, which is nothing that a row is about.
    const wrong = findings.filter(({ severity, id }) => severity !== 'notice' && id !== 'server-end-of-life')
    if (wrong.length > 0) throw new Error(`the host is not sound: ${err}`)
    sound.#advice = findings.map(({ id }) => id)
    return sound
  }

  /** What the setup and the boot do, so that nothing is left to find. */
  async settle(): Promise<void> {
    for (const result of [await this.host.setup(), await this.host.boot()]) {
      if (result.code !== 0) throw new Error(result.err)
    }
  }

  async debug(options: RunOptions = {}): Promise<Diagnosed> {
    return toDiagnosed(await this.host.run('debug-postgres', [], options))
  }

  async fix(options: RunOptions = {}, ...args: readonly string[]): Promise<Diagnosed> {
    return toDiagnosed(await this.host.run('fix-postgres', args, options))
  }

  /** What was found beside the advice that a sound host gets, as a row writes it. */
  surprises({ findings }: Diagnosed, wanted: readonly string[] = []): string[] {
    const rest = findings.filter(({ id }) => !this.#advice.includes(id) || wanted.includes(id))
    return rest
      .map(({ id, subject }) => (wanted.includes(`${id} ${subject}`) ? `${id} ${subject}` : id))
      .sort()
  }

  /** One test for each row, one after the other on this host. */
  rows(t: Test, rows: readonly Row[]): void {
    for (const row of rows) t.test(row.name, { skip: row.skip ?? false }, t => this.#row(t, row))
  }

  async #row(t: Test, row: Row): Promise<void> {
    const { host } = this
    await row.breaks(host)
    try {
      const options = {
        ...(row.env ? { env: row.env(host) } : {}),
        ...(row.as ? { as: row.as } : {}),
        ...(row.within ? { within: row.within.prefix } : {}),
      }
      const found = await this.debug(options)
      t.same(this.surprises(found, row.finds), [...row.finds].sort(), found.err)
      const first = found.findings.find(({ id }) => id === row.finds[0]?.split(' ')[0])
      t.equal(found.code, expectedCode(found))
      t.equal(first?.fix, row.fix, 'what fix-postgres does')
      t.match(first ? `${first.seen}\n${first.meaning}\n${first.remedy}` : found.err, row.says)
      if (!row.mended) return
      const fixed = await this.fix(options, '--yes')
      t.same(this.surprises(fixed), [], fixed.err)
      t.equal(fixed.code, expectedCode(fixed), fixed.err)
      t.equal(fixed.json.changed, true)
      const after = await this.debug(options)
      t.same(this.surprises(after), [], after.err)
    } finally {
      await row.restores?.(host)
    }
  }
}

/** Only errors and warnings count. */
export const expectedCode = ({ findings }: Diagnosed): number =>
  findings.some(({ severity }) => severity !== 'notice') ? 1 : 0

const toDiagnosed = (result: Result): Diagnosed => ({
  ...result,
  get json() {
    return result.json
  },
  get findings(): readonly Finding[] {
    const document: { findings?: readonly Finding[] } = JSON.parse(result.out)
    return worded(document.findings ?? [])
  },
})

/** psql and pg_dump of the server's version, which the embedded PostgreSQL comes without: they say only that. */
async function standInTools(host: Host): Promise<void> {
  const [row] = await host.cluster.query("SELECT current_setting('server_version') AS version")
  putTools(host, String(row?.['version']))
}

export function putTools(host: Host, version: string): void {
  const folder = join(host.folder, 'tools')
  mkdirSync(folder, { recursive: true })
  for (const name of ['psql', 'pg_dump']) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho "${name} (PostgreSQL) ${version}"\n`, { mode: 0o755 })
  }
  // The Node.js under test has to stay the first.
  const [first, ...rest] = (host.env['PATH'] ?? '').split(':')
  if (!rest.includes(folder)) host.env['PATH'] = [first, folder, ...rest].join(':')
}
