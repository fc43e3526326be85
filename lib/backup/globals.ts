import { closeSync, createWriteStream, fsyncSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Run } from '../command.ts'
import { systemFailure } from '../errors.ts'
import type { Folder } from '../files/folder.ts'
import { startChild, succeed } from './children.ts'
import { createFile } from './dump.ts'
import { GLOBALS } from './terms.ts'

/** Dumps roles, with their verifiers, and tablespaces into `folder`. */
export async function dumpGlobals(run: Run, folder: Folder, major: number): Promise<void> {
  const message = 'dump the roles and tablespaces'
  const handle = createFile(folder, GLOBALS)
  try {
    const child = await startChild(run.settings, {
      program: 'pg_dumpall',
      major,
      // The server's own could be anything.
      args: ['--globals-only', '--encoding=UTF8', '--no-password'],
      output: 'pipe',
    })
    const { stdout } = child.process
    if (!stdout) throw new Error('there is no pipe')
    try {
      await pipeline(stdout, createGzip(), createWriteStream('', { fd: handle, autoClose: false }))
    } catch (error) {
      child.process.kill()
      throw systemFailure(error, `write ${folder.show(GLOBALS)}`)
    }
    await succeed(run, child, message)
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
