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
    const facts = await lookAround(run)
    const diagnosis = diagnose(facts)
    report.found(diagnosis.findings)
    tellChecks(report, diagnosis)
    const bundle = values.get('bundle')
    if (bundle !== undefined) {
      // Loaded late: few runs want one.
      const { writeBundle } = await import('../lib/doctor/bundle.ts')
      await writeBundle(bundle, facts, diagnosis)
      report.note(`the bundle ${bundle} is written, without passwords; look through it before you pass it on`)
    }
    return { summary: sumUp(diagnosis), amiss: isAmiss(diagnosis) }
  },
)
