import { main } from '../lib/command.ts'
import { backupPostgres } from '../lib/commands/backup-postgres.ts'

void main({
  name: 'backup-postgres',
  summary:
    'Makes a backup of every database, of roles and tablespaces; checks it; and keeps the newest ones.',
  runsAs: 'root',
  flags: { 'init-remote': 'make the restic repository for copies first, where there is none' },
  values: { keep: ['N', 'how many backups of each kind to keep; 7'] },
  run: backupPostgres,
})
