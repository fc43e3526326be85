import { showPsqlConf } from '../lib/commands/show-psql-conf.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'show-psql-conf',
    summary:
      'Shows what PostgreSQL works with: settings and where they come from, access rules, identity maps; no secrets.',
    runsAs: 'root; another account sees what it may, and is told what it could not look at',
    onlyLooks: true,
    exitOne: 'errors in the files',
  },
  showPsqlConf,
)
