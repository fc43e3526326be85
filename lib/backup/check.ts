import type { Run } from '../command.ts'
import { startChild, succeed } from './children.ts'

/** Has pg_restore read the contents of the archive behind `handle`, from its beginning. Fails with 74 where it is none. */
export async function checkArchive(run: Run, handle: number, shown: string, major: number): Promise<void> {
  const child = await startChild(run.settings, {
    program: 'pg_restore',
    major,
    args: ['--list', '--file=/dev/null'],
    input: handle,
  })
  await succeed(run, child, `read the archive ${shown} again`)
}
