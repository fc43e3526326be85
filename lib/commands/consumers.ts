import { existsSync } from 'node:fs'
import type { Run } from '../command.ts'
import { effectiveUid } from '../files/identity.ts'
import { attempt } from '../programs.ts'

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
  const systemctl = (...args: readonly string[]) => attempt(['systemctl', ...args], LIMIT)
  const succeeds = async (asked: string): Promise<boolean> =>
    (await systemctl('--quiet', asked, UNIT)).code === 0
  if (!(await succeeds('is-enabled')) && !(await succeeds('is-active'))) return false
  if (check) {
    report.note(`${UNIT} would restart, and the API with it`)
    return false
  }
  const { code, said } = await systemctl('--no-block', 'restart', UNIT)
  if (code !== 0) {
    report.warning(
      `${UNIT} still has the old password, restart it by hand (systemctl restart ${UNIT}): ${said[0] ?? `it ended with ${code}`}`,
    )
    return false
  }
  report.note(`${UNIT} restarts, and the API with it`)
  return true
}
