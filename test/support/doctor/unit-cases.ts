import { known, unknown } from '../../../lib/doctor/facts/fact.ts'
import type { Case } from './cases.ts'
import { settings, units } from './facts.ts'

const SETUP = 'postgres-endoreg-setup.service'
const BOOT = 'endo-api-boot.service'
const API = 'endo-api.service'
const HEALTH = 'http://localhost:8118/health/'
const asked = { ...settings, apiHealthUrl: HEALTH }

/** The units: what follows from one that has failed is not told. */
export const UNITS: readonly Case[] = [
  {
    name: 'a setup that failed, and what waits for it',
    told: units({
      [SETUP]: { active: 'failed', result: 'exit-code', lastError: 'cannot read the password' },
      [BOOT]: { active: 'inactive', dropped: true },
      [API]: { active: 'inactive' },
    }),
    finds: [`error unit-failed (${SETUP}) units`],
    says: /it has failed \(exit-code\); its last error: cannot read.*so the API is not started.*journalctl -u postgres-endo/s,
  },
  {
    name: 'PostgreSQL runs, though its unit does not, and so the setup could',
    told: units({ 'postgresql.service': { active: 'failed' }, [SETUP]: { active: 'failed' } }),
    finds: [`error unit-failed (${SETUP}) units`],
  },
  {
    name: 'units of which systemd does not answer',
    told: { units: unknown('systemctl: it did not end within 30 s') },
    finds: [],
    unseen: ['units: systemctl: it did not end within 30 s'],
  },
  {
    name: 'a unit of which the journal does not tell',
    told: units({
      [API]: { active: 'failed', result: 'exit-code', unheard: 'journalctl: it was ended by SIGKILL' },
    }),
    finds: [`error unit-failed (${API}) units`],
    unseen: [`the journal of ${API}: journalctl: it was ended by SIGKILL`],
  },
  {
    name: 'a boot whose start was given up',
    told: units({ [BOOT]: { active: 'inactive', dropped: true }, [API]: { active: 'inactive' } }),
    finds: [`error unit-dropped (${BOOT}) units`],
    says: /a unit that it requires had failed/,
  },
  {
    name: 'an API that was stopped',
    told: units({ [API]: { active: 'inactive' } }),
    finds: [`error unit-inactive (${API}) units`],
    says: /the API does not run/,
  },
  {
    name: 'an API that is starting, though its start was given up before',
    told: units({ [API]: { active: 'activating', dropped: true } }),
    finds: [`warning unit-starting (${API})`],
    says: /it is still starting, or being tried again/,
  },
  {
    name: 'an API that has ended and is about to be started again, which is not counted yet',
    told: units({ [API]: { active: 'activating', again: true, lastError: 'no module' } }),
    finds: [`error unit-restarted (${API})`],
    says: /it ends by itself, 1 time until now; its last error: no module/,
  },
  {
    name: 'an API that was killed says nothing of it, systemd does',
    told: units({
      [API]: { restarts: 1, age: 60, ended: 'Main process exited, code=killed, status=9/KILL' },
    }),
    finds: [`warning unit-restarted (${API})`],
    says: /the last time 1 minute ago; systemd says: Main process exited, code=killed, status=9\/KILL/,
  },
  {
    name: 'a setup that is being tried again, of which others wait',
    told: units({ [SETUP]: { active: 'activating', again: true, lastError: 'not ready' } }),
    finds: [`warning unit-starting (${SETUP})`],
  },
  {
    name: 'an API that keeps ending',
    told: units({ [API]: { active: 'activating', restarts: 7, lastError: 'KeyError: x' } }),
    finds: [`error unit-restarted (${API})`],
    says: /it ends by itself, 7 times until now; its last error: KeyError: x/,
  },
  {
    name: 'an API that runs again',
    told: units({ [API]: { restarts: 1, age: 120, lastError: 'KeyError: x' } }),
    finds: [`warning unit-restarted (${API})`],
    says: /it ended by itself 1 time, the last time 2 minutes ago; its last error: KeyError: x/,
  },
  {
    name: 'an API that has stayed since',
    told: units({ [API]: { restarts: 1, age: 4000 } }),
    finds: [],
  },
  {
    name: 'an API that does not answer',
    told: { settings: asked, health: unknown('connect ECONNREFUSED ::1:8118') },
    finds: [`error api-silent (${HEALTH})`],
    says: /it does not answer: connect ECONNREFUSED/,
  },
  {
    name: 'an API that is not well',
    told: { settings: asked, health: known('500 Internal Server Error') },
    finds: [`error api-unwell (${HEALTH})`],
    says: /it answers: 500 Internal/,
  },
  {
    name: 'an API that is well',
    told: { settings: asked, health: known('204 No Content') },
    finds: [],
  },
  {
    name: 'an API that does not run is not said to be silent',
    told: { ...units({ [API]: { active: 'inactive' } }), settings: asked, health: unknown('no answer') },
    finds: [`error unit-inactive (${API}) units`],
  },
  {
    name: 'a unit that is masked does not run, and what needs it does not either',
    told: units({
      [SETUP]: { load: 'masked', file: 'masked', active: 'inactive' },
      [BOOT]: { active: 'inactive' },
    }),
    finds: [`error unit-masked (${SETUP}) units`],
    says: /systemctl unmask postgres-endoreg-setup\.service/,
  },
  {
    name: 'a unit that runs and was masked since',
    told: units({ 'postgresql.service': { file: 'masked' } }),
    finds: ['error unit-masked (postgresql.service) units'],
  },
  {
    name: 'a unit that is not enabled is told with what it does now',
    told: units({ [BOOT]: { file: 'disabled', active: 'failed' } }),
    finds: [`error unit-failed (${BOOT}) units`, `warning unit-disabled (${BOOT}) units`],
    says: /systemctl enable endo-api-boot/,
  },
  {
    name: 'a drop-in is advice, a file that was not read again is none',
    told: units({ [API]: { dropIns: ['/etc/a.conf', '/etc/b.conf'], stale: true } }),
    finds: [`warning unit-not-loaded (${API}) units`, `notice unit-overridden (${API})`],
    says: /systemctl daemon-reload[\s\S]*drop-ins change it: \/etc\/a\.conf, \/etc\/b\.conf/,
  },
  {
    name: 'the drop-in that ships is no change of the host',
    told: units({
      'postgresql.service': { dropIns: ['/lib/systemd/system/postgresql.service.d/endoreg-provision.conf'] },
    }),
    finds: [],
  },
  {
    name: 'a host with no unit of ours',
    told: units({
      [SETUP]: { load: 'not-found', active: 'inactive' },
      [BOOT]: { load: 'not-found', active: 'inactive' },
      [API]: { load: 'not-found', active: 'inactive' },
    }),
    finds: [`warning units-missing (${SETUP}, ${BOOT}, ${API})`],
    says: /install the package, or on NixOS the module/,
  },
  {
    name: 'the file of one unit is gone, and nothing that requires it can be started',
    told: units({
      [SETUP]: { load: 'not-found', active: 'inactive', file: '' },
      [BOOT]: { active: 'inactive' },
      [API]: { active: 'inactive' },
    }),
    finds: [`error units-missing (${SETUP})`],
    says: /systemd does not find its file.*and so the API is not.*install the package again/s,
  },
  {
    name: 'the files of two are gone, and what they have started is still there',
    told: units({
      [SETUP]: { load: 'not-found', file: '' },
      [BOOT]: { load: 'not-found', file: '' },
    }),
    finds: [`warning units-missing (${SETUP}, ${BOOT})`],
    says: /does not find their files.*at its next boot/s,
  },
  {
    name: 'the boot is gone, and the API that needs it has failed',
    told: units({ [BOOT]: { load: 'not-found', active: 'inactive' }, [API]: { active: 'failed' } }),
    finds: [`error units-missing (${BOOT})`],
  },
  {
    name: 'a host without the last of our units',
    told: units({ [API]: { load: 'not-found', active: 'inactive' } }),
    finds: [],
  },
  {
    name: 'without systemd fix-postgres starts nothing',
    told: { ...units({ [API]: { active: 'failed', file: 'disabled' } }), systemd: false },
    finds: [`error unit-failed (${API})`, `warning unit-disabled (${API})`],
  },
]
