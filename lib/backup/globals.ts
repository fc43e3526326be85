import { basename } from 'node:path'
import { gzipSync } from 'node:zlib'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import type { Report } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { createFile } from '../host/file.ts'
import type { Folder } from '../host/folder.ts'
import { configurationFiles } from '../server/look.ts'
import type { Session } from '../server/session.ts'
import { literal } from '../server/sql.ts'
import { select } from './describe.ts'
import { startChild, succeed } from './programs.ts'
import { type Description, GLOBALS } from './terms.ts'

/** Dumps roles, with their verifiers, and tablespaces into `folder`. */
export async function dumpGlobals(run: Run, folder: Folder, major: number): Promise<void> {
  const message = 'dump the roles and tablespaces'
  const child = await startChild(run.settings, {
    program: 'pg_dumpall',
    major,
    // The server's own could be anything.
    args: ['--globals-only', '--encoding=UTF8', '--no-password'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  await succeed(run, child, message)
  const script = Buffer.concat(chunks)
  if (!script.subarray(-LAST_LINES).includes(COMPLETE)) throw cutOff(message)
  doing(`write ${folder.show(GLOBALS)}`, () => createFile(folder, GLOBALS, gzipSync(script)))
}

/** How pg_dumpall ends (pg_dumpall.c), and letters in which that is. */
const COMPLETE = '-- PostgreSQL database cluster dump complete'
const LAST_LINES = 1000

const cutOff = (message: string): Failure =>
  new Failure(ExitCode.inputOutput, {
    message,
    cause: 'what pg_dumpall wrote ends in the middle',
    hint: 'Run it again; the log of PostgreSQL may say more: journalctl -u postgresql',
  })

/** Bytes of a file that are saved. */
const MOST = 16_777_216

/** What the file with that number is called in the folder of a backup: no archive's name ends so. */
const nameIn = (path: string, number: number): string =>
  `${number}-${encodeURIComponent(basename(path)).slice(-200)}.configuration`

/**
 * Saves the files of the server's configuration into `folder`, to look at. PostgreSQL reads them, as the account that they
 * belong to: the way to them is that account's. One that it cannot read is named.
 */
export async function saveConfiguration(
  report: Report,
  client: Session,
  folder: Folder,
): Promise<NonNullable<Description['configuration']>> {
  const query = `SELECT path FROM (${configurationFiles(client.major)}) AS f GROUP BY path ORDER BY path COLLATE "C"`
  const rows = await select(client, query, 'look for the configuration')
  const saved: { path: string; file: string }[] = []
  for (const row of rows) {
    const path = String(row['path'])
    const bytes = await read(report, client, path)
    if (bytes === undefined) continue
    const file = nameIn(path, saved.length + 1)
    doing(`write ${folder.show(file)}`, () => createFile(folder, file, bytes))
    saved.push({ path, file })
  }
  return saved
}

async function read(report: Report, client: Session, path: string): Promise<Buffer | undefined> {
  const query = `SELECT encode(pg_read_binary_file(${literal(path)}, 0, ${MOST}, true), 'hex') AS bytes`
  try {
    const [row] = await select(client, query, `read ${path}`)
    return typeof row?.['bytes'] === 'string' ? Buffer.from(row['bytes'], 'hex') : undefined
  } catch (error) {
    if (!(error instanceof Failure) || error.code === ExitCode.tryLater) throw error
    report.warning(`${path} is not in the backup: ${error.reason}`)
    return undefined
  }
}
