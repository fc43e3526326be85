import { type Account, effectiveUid } from '../../host/identity.ts'
import { ask } from '../../host/shell.ts'
import { askUnits, hasSystemd, propertiesIn } from '../../host/units.ts'
import { askConfigurationErrors } from '../../server/conf.ts'
import type { DataFolder } from '../../server/data-folder.ts'
import { debianCluster, lastFailure, readLog } from '../../server/log.ts'
import { type Fact, Hearing, known, toFact, toFactLater, toSaid, type Unheard, unknown } from './fact.ts'

/** What a server that is down says itself, as far as one may look. */
export type Words = {
  /** What its last start failed with, in its log or in the journal. */
  readonly log: readonly string[]
  /** What it does not take of its settings as they are now. */
  readonly settings: readonly string[]
  /** What of this could not be had. */
  readonly unheard: readonly Unheard[]
}

/** A line of somebody else's as it may be shown. */
export type Quote = (line: string) => string

export const SILENCE: Words = { log: [], settings: [], unheard: [] }

/**
 * Why a server does not run, in its own words.
 *
 * @param data where its data is; undefined where nobody knows
 */
export async function gatherWords(
  data: DataFolder | undefined,
  postgres: Account | undefined,
  quote: Quote,
): Promise<Words> {
  const may = postgres && data && [0, postgres.uid].includes(effectiveUid())
  const hearing = new Hearing()
  const words = (what: string, said: Fact<string[]>): string[] => (hearing.take(what, said) ?? []).map(quote)
  const [journal, settings] = await Promise.all([
    hasSystemd() ? lastStart(data) : known([]),
    may
      ? toFactLater(() => askConfigurationErrors(postgres, data.major, data.configFile, data.path))
      : undefined,
  ])
  const started = words('the journal of PostgreSQL', journal)
  const logged =
    started.length > 0 || !may
      ? []
      : words(
          'the log of PostgreSQL',
          toFact(() => lastFailure(readLog(postgres, data))),
        )
  const refused = settings ? words('what PostgreSQL makes of its settings', settings) : []
  return { log: [...started, ...logged], settings: refused, unheard: hearing.unheard }
}

/** What the last start that systemd made came to, where that failed: in PostgreSQL's words, or else in those of who starts it. */
async function lastStart(data: DataFolder | undefined): Promise<Fact<string[]>> {
  const cluster = data && debianCluster(data)
  // Debian's postgresql.service is only a parent of the units of the clusters.
  const unit = cluster === undefined ? 'postgresql.service' : `postgresql@${cluster}.service`
  const shown = await askUnits([unit], 'InvocationID')
  if (shown.out === undefined) return unknown(shown.why)
  const id = propertiesIn(shown.out, 1)[0]?.get('InvocationID')
  if (!id) return known([])
  const of = (field: string): string => `${field}=${id}`
  const journal = ['journalctl', '--boot', '--no-pager', '--output=cat', '--lines=200'] as const
  return toSaid(await ask(...journal, of('_SYSTEMD_INVOCATION_ID'), '+', of('INVOCATION_ID')), said => {
    const failure = lastFailure(said, true)
    return failure.length > 0 ? failure : complaints(said)
  })
}

/** Of a program that starts PostgreSQL; pg_ctlcluster(1) quotes the log after that it says how pg_ctl(1) ended. */
const STARTER = /^(?:Error: (?!.* exited with status )|\w+: (?:error|fatal): )/
/** Of systemd, where PostgreSQL was given no time to say anything. */
const MANAGER =
  /\.service: (?:Failed |Control process exited, code=killed|Main process exited, code=killed|A process of this unit )/

/** What others than PostgreSQL complain of in the journal of its start. */
export function complaints(said: string): string[] {
  const lines = said.split('\n')
  const starter = lines.filter(line => STARTER.test(line))
  return starter.length > 0 ? starter.slice(-2) : lines.filter(line => MANAGER.test(line)).slice(-2)
}
