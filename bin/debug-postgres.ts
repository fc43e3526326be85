import { debugPostgres } from '../lib/commands/debug-postgres.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'debug-postgres',
    summary:
      'Names the causes of what is wrong with this host, what each means and its remedy; changes nothing.',
    runsAs: 'root; another account sees less, and is told what it could not look at',
    values: { bundle: ['FILE', 'write a tar for a ticket: report, units, settings and logs, no password'] },
    onlyLooks: true,
    exitOne: 'errors or warnings found',
  },
  debugPostgres,
)
