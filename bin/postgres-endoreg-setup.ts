import { main } from '../lib/command.ts'
import { setUp } from '../lib/commands/postgres-endoreg-setup.ts'

void main({
  name: 'postgres-endoreg-setup',
  summary:
    'Brings PostgreSQL to its declared state: vault password, roles, databases, password; and proves the login.',
  runsAs: 'root',
  flags: { 'check-manifest': 'only read the settings and the manifest, without PostgreSQL' },
  kinds: ['check-manifest'],
  run: setUp,
})
