import { type Diagnosis, diagnose, isAmiss } from '../doctor/diagnose.ts'
import { gather } from '../doctor/facts/gather.ts'
import { count, type Report } from '../frame/report.ts'
import type { Concluded, Run } from '../frame/run.ts'

/** Names the causes of what is wrong with this host, and changes nothing. */
export async function debugPostgres(run: Run): Promise<Concluded> {
  const facts = await gather(run.settings)
  const diagnosis = diagnose(facts)
  tell(run.report, diagnosis)
  const bundle = run.values.get('bundle')
  if (bundle !== undefined) {
    // Loaded late: few runs want one.
    const { writeBundle } = await import('../doctor/bundle.ts')
    await writeBundle(bundle, facts, diagnosis)
    run.report.note(
      `the bundle ${bundle} is written, without passwords; look through it before you pass it on`,
    )
  }
  return { summary: sumUp(diagnosis), amiss: isAmiss(diagnosis) }
}

/** Tells of the findings, the worst first, then of what is right and of what could not be seen. */
export function tell(report: Report, { findings, right, unseen, logins }: Diagnosis): void {
  report.found(findings)
  for (const check of logins) report.checked(check)
  for (const { id, subject, severity } of findings) {
    if (severity !== 'notice') report.checked({ name: `${id} ${subject}`, ok: false })
  }
  for (const name of right) {
    report.note(`right: ${name}`)
    report.checked({ name, ok: true })
  }
  for (const what of unseen) report.note(`not looked at: ${what}`)
}

export function sumUp({ findings, right, unseen }: Diagnosis): string {
  const number = (severity: string): number =>
    findings.filter(finding => finding.severity === severity).length
  const found = `${count(number('error'), 'error')}, ${count(number('warning'), 'warning')}, ${count(number('notice'), 'notice')}`
  const seen = `${right.length} checked and right`
  return `${found}; ${seen}${unseen.length > 0 ? `, ${unseen.length} not looked at` : ''}`
}
