import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { resetCluster } from './reset-psql-safe.ts'

/** What Nextcloud consists of on NixOS, in the order in which it is stopped: who asks first, what answers last. */
const UNITS = [
  'nginx.service',
  'nextcloud-cron.timer',
  'nextcloud-cron.service',
  'phpfpm-nextcloud.service',
  'nextcloud-setup.service',
] as const

/** What an operator does to PostgreSQL on a Nextcloud host. */
export async function nextcloudMaintenance(run: Run): Promise<string> {
  if (!run.flags.has('reset-psql')) throw nothingAsked()
  const summary = await resetCluster(run, UNITS)
  if (!run.check)
    run.report.warning(
      'Nextcloud has no database any more: install it anew, or restore its database (restore-postgres)',
    )
  return summary
}

const nothingAsked = (): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause: 'it says not what to do: exactly one of --reset-psql and --show-psql-conf is needed',
    hint: 'See: nextcloud-maintenance --help',
  })
