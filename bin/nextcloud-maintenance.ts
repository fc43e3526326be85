import { main } from '../lib/command.ts'
import { nextcloudMaintenance } from '../lib/commands/nextcloud-maintenance.ts'
import { YES_DELETE } from '../lib/confirm.ts'

void main({
  name: 'nextcloud-maintenance',
  summary: "Empties PostgreSQL on a Nextcloud host, with Nextcloud's services stopped around it.",
  runsAs: 'root',
  flags: {
    'reset-psql': 'what reset-psql-safe does',
    'no-backup': 'make no backup before it',
  },
  values: YES_DELETE,
  run: nextcloudMaintenance,
})
