import { restorePostgres } from '../lib/commands/restore-postgres.ts'
import { YES_INCOMPLETE, YES_OVERWRITE } from '../lib/frame/confirm.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'restore-postgres',
    summary:
      'Puts a backup in the place of what is there, after a backup of that; --drill proves that a backup can be restored.',
    runsAs: 'root',
    flags: {
      list: 'show which backups there are; restores nothing',
      drill: 'restore into a throwaway PostgreSQL and compare; touches nothing else',
      remote: 'take it from restic (RESTIC_REPOSITORY), not from this host',
      'no-backup': 'make no backup first: keep the databases that are replaced, under other names',
    },
    values: {
      backup: ['NAME', 'the backup; without it the latest'],
      database: ['NAME', 'only this one of its databases'],
      as: ['NAME', 'with --database: beside what is there, under this name; replaces nothing'],
      host: ['NAME', 'with --remote: the host that the backup is of; by default this one'],
      ...YES_OVERWRITE,
      ...YES_INCOMPLETE,
    },
    kinds: ['list', 'drill'],
    exitOne: 'drift (--check), or what is restored differs from the backup',
  },
  restorePostgres,
)
