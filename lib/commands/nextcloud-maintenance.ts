import { ExitCode, Failure } from '../frame/failure.ts'
import type { Concluded, Run } from '../frame/run.ts'
import { resetCluster } from './reset-psql-safe.ts'
import { showPsqlConf } from './show-psql-conf.ts'

/** What Nextcloud consists of on NixOS, in the order in which it is stopped: who asks first, what answers last. */
export const NEXTCLOUD_UNITS = [
  'nginx.service',
  'nextcloud-cron.timer',
  'nextcloud-cron.service',
  'phpfpm-nextcloud.service',
  'nextcloud-setup.service',
] as const

/** What an operator does to PostgreSQL on a Nextcloud host. */
export async function nextcloudMaintenance(run: Run): Promise<string | Concluded> {
  const { flags, values, report, check } = run
  const resets = flags.has('reset-psql')
  const shows = flags.has('show-psql-conf')
  if (resets === shows) {
    throw misused('exactly one of --reset-psql and --show-psql-conf says what it is to do')
  }
  if (shows) {
    if (flags.has('no-backup') || values.has('yes-delete'))
      throw misused('--no-backup and --yes-delete are for --reset-psql')
    return showPsqlConf(run)
  }
  const summary = await resetCluster(run, NEXTCLOUD_UNITS)
  if (!check) {
    report.warning(
      'Nextcloud has no database any more: install it anew, or restore its database (restore-postgres)',
    )
  }
  return summary
}

const misused = (cause: string): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause,
    hint: 'See: nextcloud-maintenance --help',
  })
