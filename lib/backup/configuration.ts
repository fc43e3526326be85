import { closeSync, fsyncSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { doing, ExitCode, Failure } from '../errors.ts'
import type { Folder } from '../files/folder.ts'
import { literal } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'
import type { Report } from '../report.ts'
import { createFile } from './dump.ts'
import type { Description } from './terms.ts'

const LIMIT = 60_000
/** Bytes of a file that are saved. */
const MOST = 16_777_216

/** Where a server of that major has its settings and access rules; from 16 on these may include further files. */
const files = (major: number): string => `
  SELECT current_setting('config_file') UNION SELECT current_setting('hba_file') UNION SELECT current_setting('ident_file')
  UNION SELECT sourcefile FROM pg_file_settings ${
    major >= 16
      ? 'UNION SELECT file_name FROM pg_hba_file_rules UNION SELECT file_name FROM pg_ident_file_mappings'
      : ''
  }`

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
  major: number,
): Promise<NonNullable<Description['configuration']>> {
  const query = `SELECT path FROM (${files(major)}) AS f(path) WHERE path IS NOT NULL ORDER BY path COLLATE "C"`
  const [rows = []] = await ask(client, query, LIMIT, 'look for the configuration')
  const saved: { path: string; file: string }[] = []
  for (const row of rows) {
    const path = String(row['path'])
    const bytes = await read(report, client, path)
    if (bytes === undefined) continue
    const file = nameIn(path, saved.length + 1)
    const handle = createFile(folder, file)
    try {
      doing(`write ${folder.show(file)}`, () => {
        writeFileSync(handle, bytes)
        fsyncSync(handle)
      })
    } finally {
      closeSync(handle)
    }
    saved.push({ path, file })
  }
  return saved
}

async function read(report: Report, client: Session, path: string): Promise<Buffer | undefined> {
  const query = `SELECT encode(pg_read_binary_file(${literal(path)}, 0, ${MOST}, true), 'hex') AS bytes`
  try {
    const [[row] = []] = await ask(client, query, LIMIT, `read ${path}`)
    return typeof row?.['bytes'] === 'string' ? Buffer.from(row['bytes'], 'hex') : undefined
  } catch (error) {
    if (!(error instanceof Failure) || error.code === ExitCode.tryLater) throw error
    report.warning(`${path} is not in the backup: ${error.reason}`)
    return undefined
  }
}
