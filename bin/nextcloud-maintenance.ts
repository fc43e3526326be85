import { secretsOf } from '../lib/doctor/facts/passwords.ts'
import { YES_DELETE } from '../lib/frame/confirm.ts'
import { misused } from '../lib/frame/run.ts'
import { script } from '../lib/host/script.ts'
import { NEXTCLOUD_UNITS, resetCluster } from '../lib/reset/reset-cluster.ts'
import { showConfiguration } from '../lib/show/show.ts'

void script(
  {
    name: 'nextcloud-maintenance',
    summary:
      "Empties PostgreSQL on a Nextcloud host with Nextcloud's services stopped around it, or shows its configuration.",
    runsAs: 'root',
    flags: {
      'reset-psql': 'what reset-psql-safe does; Nextcloud has no database then',
      'show-psql-conf': 'what show-psql-conf does',
      'no-backup': 'with --reset-psql: make no backup; the data is set aside all the same',
    },
    values: YES_DELETE,
    kinds: ['show-psql-conf'],
    contrary: { 'show-psql-conf': ['reset-psql', 'no-backup', 'yes-delete'], check: ['yes-delete'] },
    needsRoot: { unless: ['show-psql-conf'] },
    exitOne: 'drift (--check), or errors in the files (--show-psql-conf)',
  },
  async run => {
    const { flags, report, check, settings } = run
    const shows = flags.has('show-psql-conf')
    if (!flags.has('reset-psql') && !shows)
      throw misused(report.command, 'exactly one of --reset-psql and --show-psql-conf says what it is to do')
    if (shows) return showConfiguration(run, await secretsOf(settings))
    const summary = await resetCluster(run, NEXTCLOUD_UNITS)
    if (!check) {
      report.warning(
        'Nextcloud has no database any more: install it anew, or restore its database (restore-postgres)',
      )
    }
    return summary
  },
)
