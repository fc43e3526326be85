import { statSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { errnoOf } from '../frame/failure.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { filesOf, readTail } from './as-postgres.ts'
import type { DataFolder } from './data-folder.ts'

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

/** The files into which a server may have written: that of its own collector, and where Debian's pg_ctlcluster(1) has it. */
export function logFiles({ path, configFile }: DataFolder, writtenTo: string): string[] {
  const [, own] = /^stderr (.+)$/m.exec(writtenTo) ?? []
  const [, major, name] = /^\/etc\/postgresql\/([^/]+)\/([^/]+)\/postgresql\.conf$/.exec(configFile) ?? []
  return [
    ...(own === undefined ? [] : [posix.resolve(path, own)]),
    ...(name === undefined ? [] : [`/var/log/postgresql/postgresql-${major}-${name}.log`]),
  ]
}

/** The first line of a message, with its level; those that follow begin with a tab. */
const MESSAGE = /^(?!\t).*?\b([A-Z]+\d?): {2}/
/** What only the server itself says. At the level LOG there are statements of clients too, in whatever language, and words of theirs. */
const LEVELS = ['FATAL', 'PANIC']
const LINES = 3

/** The last failures in the text of a log. */
export const serverLines = (text: string): string[] =>
  text
    .split('\n')
    .filter(line => LEVELS.includes(MESSAGE.exec(line)?.[1] ?? ''))
    .slice(-LINES)

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
