import { closeSync, fsyncSync, writeFileSync } from 'node:fs'
import { doing } from '../errors.ts'
import type { Folder } from '../files/folder.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'
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

/** What a file of the configuration is called in the folder of a backup: no archive's name ends so. */
const nameIn = (path: string): string => `${encodeURIComponent(path).slice(-200)}.configuration`

/**
 * Saves the files of the server's configuration into `folder`, to look at. PostgreSQL reads them, as the account that they
 * belong to: the way to them is that account's.
 */
export async function saveConfiguration(
  client: Session,
  folder: Folder,
  major: number,
): Promise<NonNullable<Description['configuration']>> {
  const [rows = []] = await ask(
    client,
    `SELECT path, encode(pg_read_binary_file(path, 0, ${MOST}, true), 'hex') AS bytes FROM (${files(major)}) AS f(path)
      WHERE path IS NOT NULL ORDER BY path COLLATE "C"`,
    LIMIT,
    'read the configuration for the backup',
  )
  const saved: { path: string; file: string }[] = []
  for (const { path, bytes } of rows) {
    if (typeof path !== 'string' || typeof bytes !== 'string') continue
    const file = nameIn(path)
    const handle = createFile(folder, file)
    try {
      doing(`write ${folder.show(file)}`, () => {
        writeFileSync(handle, Buffer.from(bytes, 'hex'))
        fsyncSync(handle)
      })
    } finally {
      closeSync(handle)
    }
    saved.push({ path, file })
  }
  return saved
}
