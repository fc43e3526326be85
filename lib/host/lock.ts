import { closeSync, constants, existsSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { withFolder } from './folder.ts'
import { attempt, finish } from './shell.ts'

/** The part of a run that waits. */
type Waiting = Pick<Run, 'settings' | 'deadline' | 'report'>

const NAME = 'maintenance.lock'
/** What flock(1) is told to exit with where another process holds the lock. */
const HELD = 9
/** Milliseconds that it gets to look, without waiting for the lock. */
const LIMIT = 30_000

/**
 * Does `work` as the only one of all backups, restores, drills and resets of this host. The lock is on an open
 * file (flock(2)), so it goes with the process, however that ends, and needs no server. Node.js has no such
 * call: flock(1) takes the lock on a handle that it shares with this process, and leaves it behind.
 *
 * Fails with 75 where another run holds it for longer than ENDOREG_READY_TIMEOUT.
 */
export async function withMaintenanceLock<T>(run: Waiting, work: () => Promise<T>): Promise<T> {
  const handle = openLock(run.settings.stateDir)
  try {
    await take(run, handle)
    return await work()
  } finally {
    closeSync(handle)
  }
}

/** Whether a backup, restore, drill or reset is at work now. The lock's file is there where one ever was. Fails with 69. */
export async function isMaintained({ stateDir }: Settings): Promise<boolean> {
  const path = `${stateDir}/${NAME}`
  if (!existsSync(path)) return false
  const options = ['--shared', '--nonblock', '--conflict-exit-code', String(HELD)]
  const { code, said } = await attempt(['flock', ...options, path, 'true'], LIMIT)
  if (code === 0 || code === HELD) return code === HELD
  throw notLocking('see whether a maintenance is at work', said.at(-1) ?? `flock ended with ${code}`)
}

const openLock = (path: string): number =>
  doing(`open the lock of the maintenance, ${path}/${NAME}`, () =>
    withFolder(path, 0o700, folder => folder.open(NAME, constants.O_RDWR | constants.O_CREAT)),
  )

async function take({ report, deadline, settings }: Waiting, handle: number): Promise<void> {
  const what = 'another backup, restore, drill or reset'
  const seconds = Math.ceil(deadline.remaining() / 1000)
  const options = ['--exclusive', '--timeout', String(seconds), '--conflict-exit-code', String(HELD)]
  const code = await report.remind(what, 'it is at work', deadline, async () => {
    try {
      return (await finish(['flock', ...options, '3'], { handle })).code
    } catch (error) {
      return error
    }
  })
  report.waited()
  if (code === 0) return
  if (code === HELD) {
    throw new Failure(ExitCode.tryLater, {
      message: `wait for ${what}`,
      cause: `it did not end within ${settings.readyTimeout} s`,
      hint: `See which it is (fuser -v ${settings.stateDir}/${NAME}), and run it again.`,
    })
  }
  const cause = code instanceof Error ? code.message : `flock ended with ${String(code)}`
  throw notLocking('take the lock of the maintenance', cause)
}

const notLocking = (message: string, cause: string): Failure =>
  new Failure(ExitCode.unavailable, { message, cause, hint: 'Install util-linux, which brings flock.' })
