import { resetPsqlSafe } from '../lib/commands/reset-psql-safe.ts'
import { YES_DELETE } from '../lib/frame/confirm.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'reset-psql-safe',
    summary:
      "Empties the PostgreSQL cluster: shows what will go, asks for the host's name, makes a backup, sets the data aside\nand makes a new cluster. Nothing is deleted.",
    runsAs: 'root',
    flags: {
      'no-backup': 'make no backup; the data is set aside all the same',
      undo: 'go back to the data that the last reset has set aside, or take back an interrupted one',
      'purge-old': "delete what was set aside, once the host's name is typed",
    },
    values: {
      'undo-to': ['NAME', 'go back to this folder of those that were set aside'],
      ...YES_DELETE,
    },
    kinds: ['undo', 'undo-to', 'purge-old'],
  },
  resetPsqlSafe,
)
