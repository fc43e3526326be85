import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { childProcess } from '../child-process.ts'
import type { Run } from '../command.ts'
import { effectiveUid } from '../files/identity.ts'

/** What reads the password: the API restarts with it (PartOf=). */
const UNIT = 'endo-api-boot.service'
/** Milliseconds that systemd gets to take note of it. */
const LIMIT = 10_000

/**
 * Has systemd restart what reads the password, without waiting for it: where it is enabled, or runs. Nothing
 * without systemd, or where there is no such unit; in check mode only says so.
 *
 * @returns whether it restarts
 */
export async function restartConsumers({ report, check }: Run): Promise<boolean> {
  if (!existsSync('/run/systemd/system') || effectiveUid() !== 0) return false
  const run = promisify(childProcess().execFile)
  const systemctl = (...args: string[]): Promise<unknown> =>
    run('systemctl', args, { timeout: LIMIT, killSignal: 'SIGKILL' })
  const succeeds = (work: Promise<unknown>): Promise<boolean> =>
    work.then(
      () => true,
      () => false,
    )
  const wanted =
    (await succeeds(systemctl('--quiet', 'is-enabled', UNIT))) ||
    (await succeeds(systemctl('--quiet', 'is-active', UNIT)))
  if (!wanted) return false
  if (check) {
    report.note(`${UNIT} would restart, and the API with it`)
    return false
  }
  try {
    await systemctl('--no-block', 'restart', UNIT)
    report.note(`${UNIT} restarts, and the API with it`)
    return true
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    report.warning(
      `${UNIT} still has the old password, restart it by hand (systemctl restart ${UNIT}): ${why}`,
    )
    return false
  }
}
