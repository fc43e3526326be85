import { statSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { errnoOf } from '../frame/failure.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { filesOf, readTail } from './as-postgres.ts'
import type { FoundFolder } from './data-folder.ts'

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
export function logFiles({ path, configFile }: FoundFolder, writtenTo: string): string[] {
  const [, own] = /^stderr (.+)$/m.exec(writtenTo) ?? []
  const [, major, name] = /^\/etc\/postgresql\/([^/]+)\/([^/]+)\/postgresql\.conf$/.exec(configFile) ?? []
  return [
    ...(own === undefined ? [] : [posix.resolve(path, own)]),
    ...(name === undefined ? [] : [`/var/log/postgresql/postgresql-${major}-${name}.log`]),
  ]
}

/** The first line of a message, with its level; those that follow begin with a tab. */
const MESSAGE = /^(?!\t).*?\b([A-Z]+\d?): {2}(.*)$/
const LEVELS = ['LOG', 'FATAL', 'PANIC']
/** What clients do, and the statements that are logged of them, explains nothing of the server. */
const OF_CLIENTS = /^(?:statement|duration|execute|bind|parse|connection|disconnection|AUDIT)\b/
const LINES = 3
const LONGEST = 300

/** The last lines that say something of the server in the text of a log. */
export const serverLines = (text: string): string[] =>
  text
    .split('\n')
    .filter(line => {
      const [, level = '', message = ''] = MESSAGE.exec(line) ?? []
      return LEVELS.includes(level) && !OF_CLIENTS.test(message)
    })
    .slice(-LINES)
    .map(line => line.slice(0, LONGEST))

/** What a server that is down has said last in its own log, as its own account may read it; empty where there is none. */
export function lastWords(postgres: Account, folder: FoundFolder): string[] {
  const path = `${folder.path}/${WRITTEN_TO}`
  const files = filesOf(postgres, [path])
  let writtenTo = ''
  try {
    writtenTo = files.read(path)
  } catch (error) {
    if (!errnoOf(error)) throw error
  }
  const log = newest.as(postgres, logFiles(folder, writtenTo))
  return log === null ? [] : serverLines(readTail.as(postgres, log))
}
