import { ask, type Said } from '../../host/shell.ts'
import { askUnitFiles, askUnits, hasSystemd, propertiesIn, saidBySystemd } from '../../host/units.ts'
import { type Fact, known, toSaid, unknown } from './fact.ts'

/** The units of a host, in the order in which each needs the one before it. */
export const CHAIN = [
  'postgresql.service',
  'postgres-endoreg-setup.service',
  'endo-api-boot.service',
  'endo-api.service',
] as const
export type UnitName = (typeof CHAIN)[number]
export const API = 'endo-api.service' satisfies UnitName

/** A unit as `systemctl show` has it. */
export type Unit = {
  readonly name: UnitName
  /** "loaded", "not-found", "masked", "bad-setting" */
  readonly load: string
  /** "active", "inactive", "failed", "activating" */
  readonly active: string
  readonly result: string
  /** "enabled", "disabled", "masked", "static" */
  readonly file: string
  readonly dropIns: readonly string[]
  /** Whether it sees nothing of what is in homes (systemd.exec(5), ProtectHome=), and of nothing is told that is bound there. */
  readonly homeless: boolean
  /** What its file says has changed since systemd read it. */
  readonly stale: boolean
  /** How its main process ended the last time: its exit code, or the number of a signal; 0 where it did not, or well. */
  readonly status: number
  /** How often systemd has started it again by itself since somebody did. */
  readonly restarts: number
  /** Whether it has ended, and is about to be started again: that is counted when it is. */
  readonly again: boolean
  /** Its last start, by which the journal knows it; undefined where it has had none. */
  readonly invocation: string | undefined
  /** For how many seconds it has been as it is. */
  readonly age: number
  /** The last error it wrote in the run that is not well, or was not; none of PostgreSQL's. */
  readonly lastError: string | undefined
  /** How that run of the API ended, in systemd's words, where it has not ended well. */
  readonly ended: string | undefined
  /** Whether its start was given up because what it requires had failed. */
  readonly dropped: boolean
  /** Why the journal does not tell of it, where it was asked. */
  readonly unheard: string | undefined
}

const PROPERTIES =
  'Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,InvocationID,StateChangeTimestampMonotonic,UnitFileState,DropInPaths,NeedDaemonReload,ProtectHome,BindPaths,BindReadOnlyPaths'

export async function gatherUnits(): Promise<Fact<readonly Unit[]>> {
  if (!hasSystemd()) return unknown('systemd does not run here')
  const shown = await askUnits(CHAIN, PROPERTIES)
  if (shown.out === undefined) return unknown(shown.why)
  return known(await Promise.all(toUnits(shown.out, monotonic()).map(withJournal)))
}

/** Microseconds of CLOCK_MONOTONIC. */
const monotonic = (): number => Number(process.hrtime.bigint() / 1000n)

/** The seconds since a moment in microseconds of CLOCK_MONOTONIC, as systemd tells it. */
export const secondsSince = (moment: string | undefined, now = monotonic()): number =>
  Math.max(0, (now - Number(moment || 0)) / 1e6)

/**
 * The units of the chain in what `systemctl show` says of them, without what only the journal knows.
 *
 * @param now microseconds of CLOCK_MONOTONIC
 */
export function toUnits(shown: string, now: number): Unit[] {
  const all = propertiesIn(shown, CHAIN.length)
  return CHAIN.map((name, index) => {
    const value = (property: string): string => all[index]?.get(property) ?? ''
    return {
      name,
      load: value('LoadState'),
      active: value('ActiveState'),
      result: value('Result'),
      file: value('UnitFileState'),
      dropIns: value('DropInPaths').split(' ').filter(Boolean),
      homeless: isHomeless(value('ProtectHome'), `${value('BindPaths')}${value('BindReadOnlyPaths')}`),
      // systemd 252 says so for ever of a masked unit that has a drop-in.
      stale: value('LoadState') === 'loaded' && value('NeedDaemonReload') === 'yes',
      status: Number(value('ExecMainStatus') || 0),
      restarts: Number(value('NRestarts') || 0),
      again: value('SubState').startsWith('auto-restart'),
      invocation: value('InvocationID') || undefined,
      age: secondsSince(value('StateChangeTimestampMonotonic'), now),
      lastError: undefined,
      ended: undefined,
      dropped: false,
      unheard: undefined,
    }
  })
}

/** "tmpfs" is for what is bound there by the unit. */
const isHomeless = (protectHome: string, bound: string): boolean =>
  protectHome === 'yes' || (protectHome === 'tmpfs' && bound.trim() === '')

/** Whether systemd passes the password to endo-api-boot, whose account need not be able to read the vault file then. */
export const gatherCredential = async (): Promise<Fact<boolean>> =>
  hasSystemd()
    ? toSaid(await askUnitFiles(['endo-api-boot.service']), files => hasCredential(files, 'db_pwd'))
    : known(false)

/**
 * Whether a unit loads the credential `name`, as its `files` say one after the other: `systemctl show` prints "[unprintable]"
 * for these lists, also for an empty one. An empty value takes back all before it (systemd.exec(5)).
 */
export const hasCredential = (files: string, name: string): boolean =>
  [...files.matchAll(/^[ \t]*LoadCredential(?:Encrypted)?[ \t]*=[ \t]*([^:\s]*)/gm)].reduce(
    (has, [, id]) => id === name || (has && id !== ''),
    false,
  )

/** The last entry, or so many, that the journal has of this boot; nothing, and not words for it, where it has none. */
const journal = (...options: readonly string[]): Promise<Said> =>
  ask('journalctl', '--boot', '--quiet', '--no-pager', '--lines=1', ...options)

/** The journal is asked only about what is not well: there is none of it to read on a healthy host. */
async function withJournal(unit: Unit): Promise<Unit> {
  // Why PostgreSQL does not run, words.ts asks its last start.
  if (unit.name === 'postgresql.service') return unit
  if (unit.load !== 'loaded' || (unit.active === 'active' && unit.restarts === 0)) return unit
  const [words, start] = await Promise.all([
    unit.name === API ? wordsOfApi(unit) : wordsOf(unit),
    journal('--output=json', ...saidBySystemd(`UNIT=${unit.name}`, 'JOB_TYPE=start')),
  ])
  return {
    ...unit,
    lastError: words.lastError,
    ended: words.ended,
    dropped: isDropped(start.out ?? ''),
    unheard: [...words.said, start].map(one => (one.out === undefined ? one.why : undefined)).find(Boolean),
  }
}

/** What is heard of a run, and what the journal answered for that. */
type Words = Partial<Pick<Unit, 'lastError' | 'ended'>> & { readonly said: readonly Said[] }

/** What it says while it is starting, or has failed to. */
const wordsOf = async ({ active, invocation }: Unit): Promise<Words> =>
  active === 'failed' || active === 'activating' ? await errorOf(invocation) : { said: [] }

/**
 * The last error of one run of a unit of ours, itself: that says more than systemd does of it, and what it said in
 * another run is of no concern.
 */
export async function errorOf(invocation: string | undefined): Promise<Words> {
  if (!invocation) return { said: [] }
  const said = await journal(
    ...['--output=cat', '--lines=5', '--priority=err'],
    `_SYSTEMD_INVOCATION_ID=${invocation}`,
  )
  return { lastError: mainError(said.out ?? ''), said: [said] }
}

// What systemd has to say, by the numbers of its messages (systemd's sd-messages.h).
const RESTART_SCHEDULED = 'MESSAGE_ID=5eb03494b6584870a536b337290809b3'
const PROCESS_EXIT = 'MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15'

/** How the API's last run ended, and with which words. */
async function wordsOfApi({ name, active, invocation, again }: Unit): Promise<Words> {
  // Somebody has stopped it: that is no end of its own.
  if (active === 'inactive') return { said: [] }
  // What runs now has not ended: the run before it has.
  const ofRun = active === 'failed' || again
  const before = ofRun
    ? undefined
    : await journal(
        ...['--output=cat', '--output-fields=INVOCATION_ID'],
        ...saidBySystemd(`UNIT=${name}`, RESTART_SCHEDULED),
      )
  const id = before ? before.out?.trim() : invocation
  if (!id) return { said: before ? [before] : [] }
  const [said, exit] = await Promise.all([
    // The API writes its errors, and all else, without a priority.
    journal('--output=cat', '--lines=200', `_SYSTEMD_INVOCATION_ID=${id}`),
    journal('--output=cat', ...saidBySystemd(`INVOCATION_ID=${id}`, PROCESS_EXIT)),
  ])
  const ended = exit.out?.trim() || undefined
  return { lastError: wordsAtEnd(said.out ?? '', ended), ended, said: [said, exit] }
}

/**
 * What a program said last, where that is why it ended: one that was killed, or ended well, has said nothing of it.
 *
 * @param ended how it ended, in systemd's words
 */
export const wordsAtEnd = (said: string, ended: string | undefined): string | undefined =>
  ended === undefined || ended.includes('code=killed') ? undefined : lastWords(said)

/** Whether the last start was given up: `start` is systemd's last entry about one, and not an earlier one. */
export const isDropped = (start: string): boolean =>
  /"JOB_RESULT":"dependency"/.test(start.replaceAll(' ', ''))

/** The exception that a program in Python ended with, or else the last that it said. */
export function lastWords(said: string): string | undefined {
  const lines = said.split('\n').filter(line => line.trim() !== '')
  const trace = lines.map(line => line.startsWith('Traceback (most recent call last)')).lastIndexOf(true)
  const exception = trace < 0 ? undefined : lines.slice(trace + 1).find(line => !/^\s/.test(line))
  return exception ?? lines.at(-1)
}

/** How our own commands begin to say what failed. */
const FAILED = 'cannot '

/** Our own commands say first what failed, and then what to do. */
export function mainError(said: string): string | undefined {
  const lines = said.split('\n').filter(Boolean)
  return lines.filter(line => line.startsWith(FAILED)).at(-1) ?? lines.at(-1)
}

/** Whether the unit's last error is one of our own commands, in its words. */
export const isOwnError = ({ name, lastError }: Pick<Unit, 'name' | 'lastError'>): boolean =>
  name !== API && lastError?.startsWith(FAILED) === true
