import { diagnose, isAmiss, lookAround, sumUp, tellChecks } from '../lib/doctor/diagnose.ts'
import { script } from '../lib/host/script.ts'

void script(
  {
    name: 'debug-postgres',
    summary:
      'Names the causes of what is wrong with this host, what each means and its remedy; changes nothing.',
    runsAs: 'root; another account sees less, and is told what it could not look at',
    values: { bundle: ['FILE', 'write a tar for a ticket: report, units, settings and logs, no password'] },
    onlyLooks: true,
    exitOne: 'errors or warnings found',
  },
  async run => {
    const { values, report } = run
    const path = values.get('bundle')
    // Loaded late: few runs want one.
    const bundle = path === undefined ? undefined : { path, ...(await import('../lib/doctor/bundle.ts')) }
    bundle?.requireBundlePlace(bundle.path)
    const facts = await lookAround(run)
    const diagnosis = diagnose(facts)
    report.found(diagnosis.findings)
    tellChecks(report, diagnosis)
    if (bundle) {
      await bundle.writeBundle(bundle.path, facts, diagnosis)
      report.note(
        `the bundle ${bundle.path} is written, without passwords; look through it before you pass it on`,
      )
    }
    return { summary: sumUp(diagnosis), amiss: isAmiss(diagnosis) }
  },
)
