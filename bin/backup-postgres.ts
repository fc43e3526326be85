import { backupPostgres } from '../lib/commands/backup-postgres.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'backup-postgres',
    summary:
      'Makes a backup of every database, of roles and tablespaces; checks it; keeps the newest ones; and copies them to restic.',
    runsAs: 'root',
    flags: {
      'init-remote': 'make the restic repository for copies first, where there is none',
      'no-copy': 'make no copies in the restic repository',
      'copy-only': 'make no backup; copy those there are to the restic repository',
    },
    values: {
      keep: ['N', 'how many backups of each kind to keep; 7'],
      retry: [
        'MINUTES',
        'where the last attempt, not longer ago, made a backup and could not copy it: only copy it',
      ],
    },
    kinds: ['copy-only'],
  },
  backupPostgres,
)
