import { diagnose, isAmiss, sumUp, tellDiagnosis } from '../lib/doctor/diagnose.ts'
import { gather } from '../lib/doctor/facts/gather.ts'
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
  async ({ settings, values, report }) => {
    const facts = await gather(settings)
    const diagnosis = diagnose(facts)
    tellDiagnosis(report, diagnosis)
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
