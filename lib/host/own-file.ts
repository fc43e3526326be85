import { fsyncSync, rmSync } from 'node:fs'
import { doing } from '../frame/failure.ts'
import { litter, type Ownership, readRegular, replaceFile } from './file.ts'
import { type Folder, inFolder, makeFolder } from './folder.ts'
import { effectiveUid } from './identity.ts'

const WRITABLE_BY_OTHERS = 0o022

/** Whether nobody but this process's account, or root, decides what is in `folder` and what its path leads to. */
export function isOurs(folder: Folder): boolean {
  const { uid, mode } = folder.stat()
  return folder.safe && uid === effectiveUid() && (mode & WRITABLE_BY_OTHERS) === 0
}

// Files in which a run writes down for the next one what it has begun, in a folder that is nobody else's.

/** A file of this process's account, for nobody else. */
export const ownFile = (): Ownership => ({
  uid: effectiveUid(),
  gid: process.getegid?.() ?? 0,
  mode: 0o600,
  names: '',
})

/** The text of the file `name` in the folder `path`; undefined where there is no such file or folder. */
export const readOwn = (path: string, name: string, largest?: number): string | undefined =>
  doing(`read ${path}/${name}`, () =>
    inFolder(path, folder =>
      folder.look(name) ? readRegular(folder, name, largest).bytes.toString('utf8') : undefined,
    ),
  )

/** Writes the file whole or not at all, and on the disk before this returns; the folder is made where it is missing. */
export function writeOwn(path: string, name: string, text: string): void {
  doing(`write ${path}/${name}`, () => {
    const folder = makeFolder(path, 0o700)
    try {
      for (const leftover of litter(folder, name)) rmSync(folder.at(leftover), { force: true })
      replaceFile(folder, name, Buffer.from(text), ownFile())
    } finally {
      folder.close()
    }
  })
}

/** Takes the file away, where it is there, on the disk too. */
export function removeOwn(path: string, name: string): void {
  doing(`remove ${path}/${name}`, () => {
    inFolder(path, folder => {
      rmSync(folder.at(name), { force: true })
      folder.withHandle(fsyncSync)
    })
  })
}
