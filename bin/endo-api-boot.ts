import { withNewDeadline } from '../lib/frame/run.ts'
import { sentences } from '../lib/frame/text.ts'
import { script } from '../lib/host/script.ts'
import { provideCheckout } from '../lib/provision/checkout.ts'
import { inspectLacks, installCopies, requireCheckout, waitForLogin } from '../lib/provision/install.ts'
import { serviceOwnership } from '../lib/provision/owners.ts'

void script(
  {
    name: 'endo-api-boot',
    summary:
      'Waits until the application role really logs in, then installs conf/db_pwd, conf/db.yaml and local_settings.py.',
    runsAs: 'the service account (ENDOREG_SERVICE_USER), or root',
    values: {
      'pass-metrics': [
        'FOLDER',
        'as root: pass on to ENDOREG_METRICS_DIR what its unit has left in FOLDER; nothing else',
      ],
    },
    kinds: ['pass-metrics'],
  },
  async run => {
    const { settings, report } = run
    const of = serviceOwnership(settings)
    const left = run.values.get('pass-metrics')
    if (left !== undefined) {
      // Loaded only where it is wanted.
      const { passMetrics } = await import('../lib/host/passed-metrics.ts')
      return passMetrics(run, of.service, left)
    }
    if (!(await provideCheckout(run, of.service))) return `${report.tally()}; then the configuration`
    requireCheckout(settings, of)
    // The repository had its own time.
    const waiting = withNewDeadline(run)
    const proved = await waitForLogin(waiting, of.service)
    const lacks = inspectLacks(settings, proved)
    lacks.catch(() => {})
    await installCopies(waiting, of, proved)
    // The API meets it, and starts all the same.
    for (const { seen, remedy, severity } of await lacks)
      if (severity !== 'notice') report.warning(sentences(seen, remedy))
    return `${report.tally()}; ${settings.dbUser} logs in at ${proved.addresses.join(' and ')}`
  },
)
