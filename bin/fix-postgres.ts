import { main } from '../lib/command.ts'
import { fixPostgres } from '../lib/commands/fix-postgres.ts'

void main({
  name: 'fix-postgres',
  summary: 'Applies the remedies for what debug-postgres finds, after showing them, and says what is left.',
  runsAs: 'root',
  flags: { yes: 'apply them without a question' },
  exitOne: 'drift (--check), or errors or warnings left',
  run: fixPostgres,
})
