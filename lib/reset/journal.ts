import { fsyncSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { litter, readRegular, replaceFile } from '../host/file.ts'
import { inFolder, makeFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { type Journal, journal } from './terms.ts'

const NAME = 'reset.json'
const LARGEST = 1_048_576

const pathOf = ({ stateDir }: Settings): string => `${stateDir}/${NAME}`

/** What a reset or an undo has begun and not finished; undefined where there is nothing of the kind. Fails with 78. */
export function readJournal(settings: Settings): Journal | undefined {
  const text = doing(`read ${pathOf(settings)}`, () =>
    inFolder(settings.stateDir, folder =>
      folder.look(NAME) ? readRegular(folder, NAME, LARGEST).bytes.toString('utf8') : undefined,
    ),
  )
  if (text === undefined) return undefined
  try {
    return v.parse(journal, JSON.parse(text))
  } catch (error) {
    throw new Failure(ExitCode.configuration, {
      message: `read what an interrupted reset has begun, ${pathOf(settings)}`,
      cause: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error),
      hint: `No version of this program that is installed here wrote it like that. See what is beside the data folder, then move it away: mv ${pathOf(settings)} ${pathOf(settings)}.old`,
    })
  }
}

/** "an undo of TIME", for people. */
export const describeBegun = ({ action, begun }: Journal): string =>
  `${action === 'undo' ? 'an undo' : 'a reset'} of ${begun}`

/** Writes down what is begun, whole or not at all, and on the disk before this returns. */
export function writeJournal(settings: Settings, entry: Journal): void {
  const owner = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o600, names: '' }
  doing(`write ${pathOf(settings)}`, () => {
    const folder = makeFolder(settings.stateDir, 0o700)
    try {
      for (const leftover of litter(folder, NAME)) rmSync(folder.at(leftover), { force: true })
      replaceFile(folder, NAME, Buffer.from(`${JSON.stringify(entry, undefined, 1)}\n`), owner)
    } finally {
      folder.close()
    }
  })
}

/** What was begun is finished, or was given up. */
export function dropJournal(settings: Settings): void {
  doing(`remove ${pathOf(settings)}`, () => {
    inFolder(settings.stateDir, folder => {
      rmSync(folder.at(NAME), { force: true })
      folder.withHandle(fsyncSync)
    })
  })
}
