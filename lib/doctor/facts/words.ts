import { type Account, effectiveUid } from '../../host/identity.ts'
import { ask, type Said } from '../../host/shell.ts'
import { askUnits, hasSystemd, propertiesIn, saidBySystemd } from '../../host/units.ts'
import { askConfigurationErrors } from '../../server/conf.ts'
import type { DataFolder } from '../../server/data-folder.ts'
import { debianCluster, lastFailure, readLog } from '../../server/log.ts'
import { type Fact, Hearing, toFact, toFactLater, toSaid, type Unheard } from './fact.ts'

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
    hasSystemd() ? readLastStart(data) : { out: '' },
    may
      ? toFactLater(() => askConfigurationErrors(postgres, data.major, data.configFile, data.path))
      : undefined,
  ])
  // What only systemd says is the least.
  const looks = [
    () =>
      words(
        'the journal of PostgreSQL',
        toSaid(journal, text => lastFailure(text, true)),
      ),
    () => complaints(journal.out ?? '', STARTER).map(quote),
    () =>
      may
        ? words(
            'the log of PostgreSQL',
            toFact(() => lastFailure(readLog(postgres, data))),
          )
        : [],
    () => complaints(journal.out ?? '', MANAGER).map(quote),
  ]
  const log = looks.reduce<string[]>((found, look) => (found.length > 0 ? found : look()), [])
  const refused = settings ? words('what PostgreSQL makes of its settings', settings) : []
  return { log, settings: refused, unheard: hearing.unheard }
}

/** What the journal has of the last start that systemd made: of who starts PostgreSQL, and of itself. */
async function readLastStart(data: DataFolder | undefined): Promise<Said> {
  const cluster = data && debianCluster(data)
  // Debian's postgresql.service is only a parent of the units of the clusters.
  const units =
    cluster === undefined ? ['postgresql@*.service', 'postgresql.service'] : [`postgresql@${cluster}.service`]
  const shown = await askUnits(units, 'Id,ActiveState,InvocationID')
  if (shown.out === undefined) return shown
  const all = propertiesIn(shown.out, SEVERAL).filter(unit => unit.get('InvocationID'))
  const id = (all.find(unit => unit.get('ActiveState') === 'failed') ?? all.at(-1))?.get('InvocationID')
  if (!id) return { out: '' }
  const journal = ['journalctl', '--boot', '--no-pager', '--output=cat', '--lines=200'] as const
  return ask(...journal, `_SYSTEMD_INVOCATION_ID=${id}`, '+', ...saidBySystemd(`INVOCATION_ID=${id}`))
}

/** Units of clusters on one host. */
const SEVERAL = 10

/** Of a program that starts PostgreSQL; pg_ctlcluster(1) quotes the log after that it says how pg_ctl(1) ended. */
export const STARTER = /^(?:Error: (?!.* exited with status )|\w+: (?:error|fatal): )/
/** Of systemd, where PostgreSQL was given no time to say anything. */
export const MANAGER =
  /\.service: (?:Failed |Control process exited, code=killed|Main process exited, code=killed|A process of this unit )/

/** What others than PostgreSQL complain of in the journal of its start. */
export const complaints = (said: string, whose: RegExp): string[] =>
  said
    .split('\n')
    .filter(line => whose.test(line))
    .slice(-2)
