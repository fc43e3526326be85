import { main } from '../lib/command.ts'
import { setUp } from '../lib/commands/postgres-endoreg-setup.ts'

void main({
  name: 'postgres-endoreg-setup',
  summary:
    'Brings PostgreSQL to its declared state: vault password, roles, databases, password; and proves the login.',
  runsAs: 'root',
  run: setUp,
})
