import { filesOf } from '../doctor/facts/as-postgres.ts'
import { findDataFolder } from '../doctor/facts/data-folder.ts'
import { errnoOf } from '../errors.ts'
import { type Account, account, accountName, findAccount } from '../files/accounts.ts'
import { effectiveUid } from '../files/identity.ts'
import { readFileSettings } from '../postgres/conf/files.ts'
import type { Files } from '../postgres/hba/terms.ts'
import type { Settings } from '../settings.ts'
import { readAccess } from './access.ts'
import type { FileView, Mistake, Places } from './terms.ts'

/** What the files of a cluster on this host say, and of which version its data is. */
export type Disk = FileView & { readonly places: Places; readonly major: number }

/**
 * Reads the configuration of the cluster of the settings on this host. Root reads with the rights of PostgreSQL's own
 * account, so that it sees what PostgreSQL sees; every other account as far as its own rights go.
 *
 * @returns undefined where there is none, or where this account may not look
 * Fails with 78 where root finds no account of PostgreSQL.
 */
export async function readDisk(settings: Settings): Promise<Disk | undefined> {
  const reader = readerOf(settings)
  const folder = findDataFolder(settings, reader)
  if (!folder) return undefined
  const { configFile, hbaFile, identFile, path, major } = folder
  const expected = [configFile, `${path}/postgresql.auto.conf`, hbaFile, identFile]
  const { files, denied } = noting(filesOf(reader, expected))
  const conf = readFileSettings(configFile, path, files)
  const access = await readAccess(hbaFile, identFile, major, async (_, work) => work(files))
  const mistakes: Mistake[] = [
    ...conf.errors.map((error): Mistake => ({ in: 'settings', ...error })),
    ...conf.unread.map(
      ({ path, why }): Mistake => ({ in: 'settings', file: path, line: null, message: why }),
    ),
    ...access.mistakes,
  ]
  // What PostgreSQL's own account may not read is a mistake; what another one may not is only not seen.
  const closed = isPostgres(settings) ? [] : [...denied]
  const isSeen = ({ file, line, message }: Mistake): boolean =>
    !closed.some(path => (line === null && file === path) || message.includes(`"${path}"`))
  return {
    ...access,
    lines: conf.lines,
    mistakes: mistakes.filter(isSeen),
    newer: [],
    unseen: closed.map(path => `${path}: Permission denied`),
    places: { data: path, settings: configFile, hba: hbaFile, ident: identFile },
    major,
  }
}

/** Whether the server's files are on this host, as far as the settings say. */
export const isHere = ({ host }: Settings): boolean =>
  host.startsWith('/') || /^(?:localhost|127\.[\d.]+|::1)$/.test(host)

/** `files`, and the paths of those that this process may not read, as far as they were asked for. */
function noting(files: Files): { readonly files: Files; readonly denied: ReadonlySet<string> } {
  const denied = new Set<string>()
  const note =
    <T>(read: (path: string) => T) =>
    (path: string): T => {
      try {
        return read(path)
      } catch (error) {
        if (errnoOf(error) === 'EACCES') denied.add(path)
        throw error
      }
    }
  return { files: { read: note(files.read), list: note(files.list) }, denied }
}

const isPostgres = ({ postgresAccount }: Settings): boolean =>
  effectiveUid() === 0 || findAccount(postgresAccount)?.uid === effectiveUid()

function readerOf({ postgresAccount }: Settings): Account {
  const uid = effectiveUid()
  if (uid === 0) return account(postgresAccount, 'ENDOREG_PG_OS_USER')
  return { name: accountName(uid), uid, gid: process.getegid?.() ?? uid }
}
