import { closeSync, fsyncSync, writeSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { Run } from '../command.ts'
import { doing, ExitCode, Failure, systemFailure } from '../errors.ts'
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
    let end = ''
    try {
      await pipeline(
        stdout,
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            end = `${end}${chunk.toString('latin1')}`.slice(-LAST_LINES)
            yield chunk
          }
        },
        createGzip(),
        // A stream on the handle would close it where writing fails, and closing it again could hit another file.
        async (chunks: AsyncIterable<Buffer>) => {
          for await (const chunk of chunks) writeAll(handle, chunk)
        },
      )
    } catch (error) {
      child.process.kill()
      throw systemFailure(error, `write ${folder.show(GLOBALS)}`)
    }
    await succeed(run, child, message)
    if (!end.includes(COMPLETE)) throw cutOff(message)
    doing(`write ${folder.show(GLOBALS)}`, () => fsyncSync(handle))
  } finally {
    closeSync(handle)
  }
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

function writeAll(handle: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at)
}
