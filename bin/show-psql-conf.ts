import { secretsOf } from '../lib/doctor/facts/passwords.ts'
import { script } from '../lib/host/script.ts'
import { showConfiguration } from '../lib/show/show.ts'

void script(
  {
    name: 'show-psql-conf',
    summary:
      'Shows what PostgreSQL works with: settings and where they come from, access rules, identity maps; no secrets.',
    runsAs: 'root; another account sees what it may, and is told what it could not look at',
    onlyLooks: true,
    exitOne: 'errors in the files',
  },
  async run => showConfiguration(run, await secretsOf(run.settings)),
)
