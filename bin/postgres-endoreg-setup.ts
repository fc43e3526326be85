import { count } from '../lib/frame/report.ts'
import { script } from '../lib/host/script.ts'
import { loadManifest } from '../lib/provision/manifest.ts'
import { setUp } from '../lib/provision/setup.ts'

void script(
  {
    name: 'postgres-endoreg-setup',
    summary:
      'Brings PostgreSQL to its declared state: vault password, roles, databases, password; and proves the login.',
    runsAs: 'root',
    flags: { 'check-manifest': 'only read the settings and the manifest, without PostgreSQL' },
    kinds: ['check-manifest'],
    exitOne: 'drift (--check), access rules too that are only compared',
  },
  async run => {
    if (!run.flags.has('check-manifest')) return setUp(run)
    // What can be found wrong before there is a server: a NixOS configuration is built with it, or not at all.
    const { roles, databases, hba, ident } = loadManifest(run.settings)
    const declared = [
      count(roles.length, 'role'),
      count(databases.length, 'database'),
      count(hba.length, 'access rule'),
      count(ident.length, 'identity mapping'),
    ]
    return `settings and manifest are right: ${declared.join(', ')}`
  },
)
