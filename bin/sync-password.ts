import { syncPassword } from '../lib/commands/sync-password.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'sync-password',
    summary: "Makes the vault file, PostgreSQL and the API's conf/db_pwd hold the same password now.",
    runsAs: 'root',
    flags: {
      rotate: 'replace the password in all three places',
      'no-restart': 'leave the restart of endo-api-boot, and so of the API, to you',
    },
    kinds: ['rotate'],
  },
  syncPassword,
)
