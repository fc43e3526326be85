import { rmSync } from 'node:fs'
import { doing } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { readRegular, replaceFile } from '../host/file.ts'
import { inFolder, makeFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import type { Backup } from './terms.ts'

/** Holds the name of the backup whose copy was begun, until that is complete. */
const NAME = 'copying'

/** Writes down that the backup `name` is about to be copied. */
export function beginCopy({ stateDir }: Settings, name: string): void {
  const owner = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o600, names: '' }
  doing(`write ${stateDir}/${NAME}`, () => {
    const folder = makeFolder(stateDir, 0o700)
    try {
      replaceFile(folder, NAME, Buffer.from(`${name}\n`), owner)
    } finally {
      folder.close()
    }
  })
}

/** The copy is complete. */
export function endCopy({ stateDir }: Settings): void {
  doing(`remove ${stateDir}/${NAME}`, () =>
    inFolder(stateDir, folder => rmSync(folder.at(NAME), { force: true })),
  )
}

/** Whether the backup `name` was to be copied, and that has failed or was interrupted. */
export const isCopyPending = ({ stateDir }: Settings, name: string): boolean =>
  doing(
    `read ${stateDir}/${NAME}`,
    () =>
      inFolder(stateDir, folder =>
        folder.look(NAME) ? readRegular(folder, NAME).bytes.toString('utf8').trim() === name : false,
      ) ?? false,
  )

/**
 * The newest regular backup, where its copy is pending and it is not older than so many minutes: with one more backup
 * at each attempt, two nights without a network would push a week of older ones out.
 *
 * @param backups the oldest first
 * @param now milliseconds since 1970
 */
export function uncopied(
  backups: readonly Backup[],
  isPending: (name: string) => boolean,
  minutes: number,
  now: number,
): Backup | undefined {
  const newest = backups.filter(({ description }) => description.reason === 'regular').at(-1)
  if (!newest || !isPending(newest.name)) return undefined
  const age = now - Date.parse(newest.description.finished)
  return age >= 0 && age <= minutes * 60_000 ? newest : undefined
}
