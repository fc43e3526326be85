import { fixPostgres } from '../lib/commands/fix-postgres.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'fix-postgres',
    summary: 'Applies the remedies for what debug-postgres finds, after showing them, and says what is left.',
    runsAs: 'root',
    flags: { yes: 'apply them without a question' },
    exitOne: 'drift (--check), or errors or warnings left',
  },
  fixPostgres,
)
