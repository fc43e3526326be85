import { script } from '../lib/host/script.ts'
import { setUp } from '../lib/provision/setup.ts'

void script(
  {
    name: 'postgres-endoreg-setup',
    summary:
      'Brings PostgreSQL to its declared state: vault password, roles, databases, password; and proves the login.',
    runsAs: 'root',
    flags: { 'check-manifest': 'only read the settings and the manifest, without PostgreSQL' },
    kinds: ['check-manifest'],
  },
  setUp,
)
