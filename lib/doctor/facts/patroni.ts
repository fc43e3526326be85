import { posix } from 'node:path'
import { errnoOf } from '../../errors.ts'
import type { Account } from '../../files/accounts.ts'
import { type Text, whyPatroni } from '../../postgres/patroni.ts'
import { filesOf } from './as-postgres.ts'
import type { DataFolder } from './data-folder.ts'

/**
 * Why the cluster belongs to Patroni; undefined where nothing says so, as far as PostgreSQL's account may look.
 *
 * @param pid the server's first process
 */
export function inspectPatroni(
  postgres: Account,
  { path, hbaFile, identFile }: Omit<DataFolder, 'major'>,
  pid: number | undefined,
): string | undefined {
  const configuration = [path, posix.dirname(hbaFile)].map(folder => `${folder}/postgresql.conf`)
  const paths = [...new Set([hbaFile, identFile, ...configuration])]
  const files = filesOf(postgres, paths)
  const texts = paths.flatMap((path): Text[] => {
    try {
      return [{ path, text: files.read(path) }]
    } catch (error) {
      if (errnoOf(error)) return []
      throw error
    }
  })
  return whyPatroni(texts, pid)
}
