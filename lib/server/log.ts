import { statSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { errnoOf } from '../frame/failure.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { filesOf, readTail } from './as-postgres.ts'
import type { DataFolder } from './data-folder.ts'
import { startAdvice } from './start-problem.ts'

/** The one of these files that was written last; null where none is there to be seen. */
const newest = job('newest file', [v.array(v.string())], v.nullable(v.string()), paths => {
  const times = paths.flatMap(path => {
    try {
      return [{ path, time: statSync(path).mtimeMs }]
    } catch (error) {
      if (errnoOf(error)) return []
      throw error
    }
  })
  return times.sort((one, other) => other.time - one.time)[0]?.path ?? null
})

/** Where PostgreSQL writes down which files it logs to (manual, 9.27.1: pg_current_logfile()); it stays when that ends. */
const WRITTEN_TO = 'current_logfiles'

/** The version and the name of a cluster that Debian's tools have made; undefined of another one. */
export function debianCluster({ configFile }: Pick<DataFolder, 'configFile'>) {
  const [, major, name] = /^\/etc\/postgresql\/([^/]+)\/([^/]+)\/postgresql\.conf$/.exec(configFile) ?? []
  return major === undefined || name === undefined ? undefined : `${major}-${name}`
}

/** The files into which a server may have written: that of its own collector, and where Debian's pg_ctlcluster(1) has it. */
export function logFiles(folder: DataFolder, writtenTo: string): string[] {
  const [, own] = /^stderr (.+)$/m.exec(writtenTo) ?? []
  const cluster = debianCluster(folder)
  return [
    ...(own === undefined ? [] : [posix.resolve(folder.path, own)]),
    ...(cluster === undefined ? [] : [`/var/log/postgresql/postgresql-${cluster}.log`]),
  ]
}

/** The end of a server's own log, as its own account may read it; empty where there is none. */
export function readLog(postgres: Account, folder: DataFolder): string {
  const path = `${folder.path}/${WRITTEN_TO}`
  const files = filesOf(postgres, [path])
  let writtenTo = ''
  try {
    writtenTo = files.read(path)
  } catch (error) {
    if (!errnoOf(error)) throw error
  }
  const log = newest.as(postgres, logFiles(folder, writtenTo))
  return log === null ? '' : readTail.as(postgres, log)
}

/** A line of a log: the process and whether a client's session wrote it, as far as log_line_prefix says so. */
type Line = {
  readonly pid: string | undefined
  readonly client: boolean
  /** What log_line_prefix has up to the process, without what differs from line to line. */
  readonly shape: string
  /** "LOG", "FATAL", "DETAIL" */
  readonly level: string
  readonly text: string
}

/** Debian's prefix has role and database of a session, as most others that name them. */
const SESSION = /\S@\S/
const LINE = /^(?!\t)(.*?)\b([A-Z]+)\d?: {2}(.*)$/
/** What it says before it knows how to write a log (write_stderr()). */
const PLAIN = /^(?:\S*\/)?postgres: (?:could not|cannot|invalid|\S+ must|\S+ does not|konnte|kann)/

function toLine(line: string): Line | undefined {
  if (PLAIN.test(line)) return { pid: undefined, client: false, shape: '', level: 'FATAL', text: line }
  const [, prefix = '', level, message = ''] = LINE.exec(line) ?? []
  if (level === undefined) return undefined
  const [upTo = '', pid] = /^.*?\[(\d+)\]/.exec(prefix) ?? []
  const shape = upTo.replace(/\d+/g, '0').replace(/[A-Za-z]+/g, 'a')
  // A part of a line may belong to a secret in quotes that do not end.
  const text = `${level}:  ${message.replace(/, (?:near token|bei) ["»].*/, '')}`
  return { pid, client: SESSION.test(prefix), shape, level, text }
}

/** As it is called in English and in German. */
const isFatal = ({ level }: Line): boolean => ['FATAL', 'PANIC', 'PANIK'].includes(level)
const BESIDE = ['DETAIL', 'HINT', 'CONTEXT']
/** The version and what it was built with are never translated (postmaster.c, "starting %s"). */
const isStart = ({ level, text }: Line): boolean => level === 'LOG' && /PostgreSQL \d.* on .*-bit/.test(text)
const isEnd = ({ text }: Line): boolean =>
  /database system is shut down|Datenbanksystem ist heruntergefahren/.test(text)
/** A process that ends because the server is told to. */
const isStopped = ({ text }: Line): boolean => /: {2}terminating |abgebrochen/.test(text)
const isListening = ({ text }: Line): boolean => /^LOG: {2}(?:listening on|erwarte Verbindungen)/.test(text)

/** Lines that are quoted at most. */
const MOST = 5

/**
 * What the last start of a server failed with, by the end of a log. A client that was refused, and a server that ran and was
 * stopped, are none.
 *
 * The first process of a server writes last, but where it was killed: so the last line is that of the last start. Of one
 * that came to serve, only what it itself and the processes whose end it tells of gave up with is a reason.
 *
 * @param whole whether nothing is from before that start
 */
export function lastFailure(log: string, whole = false): string[] {
  const all = log.split('\n').flatMap(line => toLine(line) ?? [])
  const last = all.at(-1)
  if (!last || last.client) return []
  if (PLAIN.test(last.text)) return [last.text]
  const { pid } = last
  // The prefix has a client's names as they are: a new line in them is a line of which anything can be said but this.
  const lines = all.map(line => (line.shape === last.shape ? line : { ...line, pid: undefined }))
  const started = lastIndex(lines, isStart)
  const served = lines[started]?.pid === pid
  const begun = lastIndex(lines, line => line.pid !== pid) + 1
  const own = lines.slice(begun)
  const ended = lastIndex(lines.slice(0, begun), isEnd) > started || (whole && started < 0)
  // Of a line without a process, and of one after a server that was killed, nobody knows whose it is.
  if (pid === undefined || !(served || ended)) return recognised(own)
  // It never began to serve, so there were no clients.
  if (!served) return texts(own)
  const since = lines.slice(started)
  const itself = since.filter(line => line.pid === pid)
  const gaveUp = lastIndex(itself, isFatal)
  if (gaveUp >= 0) return texts(withDetails(itself, gaveUp))
  const child = itself.flatMap(({ text }) => /\(PID (\d+)\)/.exec(text)?.[1] ?? []).at(-1)
  const its = since.filter(line => line.pid !== undefined && line.pid === child && !line.client)
  const end = lastIndex(its, line => isFatal(line) && !isStopped(line))
  return end < 0 ? [] : texts(withDetails(its, end))
}

/** Where the last of these lines is for which that is true; -1 where there is none. */
const lastIndex = (lines: readonly Line[], fits: (line: Line) => boolean): number =>
  lines.map(fits).lastIndexOf(true)

/** Lines before that with which a process gave up, which may say why. */
const BEFORE = 3

/** The lines of one process up to that with which it gave up, and what belongs to it. */
function withDetails(lines: readonly Line[], end: number): Line[] {
  const rest = lines.slice(end + 1)
  const more = rest.findIndex(({ level }) => !BESIDE.includes(level))
  return lines.slice(Math.max(0, end - BEFORE), end + 1 + (more < 0 ? rest.length : more))
}

const texts = (lines: readonly Line[]): string[] => {
  const said = lines.filter(line => !isStart(line) && !isEnd(line) && !isListening(line))
  return [...said.slice(0, MOST - 1), ...said.slice(MOST - 1).slice(-1)].map(({ text }) => text)
}

/** The end of these lines, where it is what only a server says that starts. */
function recognised(lines: readonly Line[]): string[] {
  const said = lines.filter(line => !isEnd(line))
  const end = lastIndex(said, isFatal)
  const last = said.slice(Math.max(0, end))
  if (end < 0 || last.slice(1).some(({ client, level }) => client || !BESIDE.includes(level))) return []
  const quoted = texts(last)
  return startAdvice(quoted, []) === undefined ? [] : quoted
}
