import { nextcloudMaintenance } from '../lib/commands/nextcloud-maintenance.ts'
import { YES_DELETE } from '../lib/frame/confirm.ts'
import { script } from '../lib/host/script.ts'

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
    exitOne: 'drift (--check), or errors in the files (--show-psql-conf)',
  },
  nextcloudMaintenance,
)
