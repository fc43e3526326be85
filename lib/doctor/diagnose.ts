import { type Finding, SEVERITIES } from '../frame/finding.ts'
import { count, type Report } from '../frame/report.ts'
import type { Check } from '../frame/terms.ts'
import { ifKnown } from './facts/fact.ts'
import type { Facts } from './facts/gather.ts'
import { accessFindings, nameFindings } from './findings/access.ts'
import { accountFindings } from './findings/accounts.ts'
import { applicationFindings } from './findings/application.ts'
import { backupFindings, diskFindings, resetFindings } from './findings/host.ts'
import { fixable, type Part } from './findings/part.ts'
import { passwordFindings } from './findings/passwords.ts'
import { roleFindings } from './findings/roles.ts'
import { serverFindings } from './findings/server.ts'
import { settingFindings, versionFindings } from './findings/settings.ts'
import { unitFindings } from './findings/units.ts'
import { vaultFindings } from './findings/vault.ts'

/** The families of causes, in the order in which a host needs them. */
const FAMILIES: readonly ((facts: Facts) => Part)[] = [
  accountFindings,
  vaultFindings,
  resetFindings,
  serverFindings,
  nameFindings,
  accessFindings,
  roleFindings,
  passwordFindings,
  applicationFindings,
  unitFindings,
  diskFindings,
  backupFindings,
  settingFindings,
  versionFindings,
]

/** What is wrong with a host, and what is right. */
export type Diagnosis = Part & {
  /** The application's logins, as the other commands report them. */
  readonly logins: readonly Check[]
}

/** The diagnosis that follows from `facts`: the worst first, and each finding once. */
export function diagnose(facts: Facts): Diagnosis {
  const parts = FAMILIES.map(family => family(facts))
  const findings = new Map<string, Finding>()
  for (const finding of parts.flatMap(part => part.findings)) {
    const key = `${finding.id} ${finding.subject}`
    if (!findings.has(key)) findings.set(key, finding)
  }
  return {
    findings: [...findings.values()]
      .map(finding => ({ ...finding, fix: fixable(facts, finding.fix) }))
      .sort((one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity)),
    right: parts.flatMap(part => part.right),
    unseen: parts.flatMap(part => part.unseen),
    logins: logins(facts),
  }
}

function logins({ settings, names, attempts }: Facts): Check[] {
  const addresses = ifKnown(names.resolved) ?? []
  return addresses.map(address => ({
    name: `login ${settings.dbUser} ${address}`,
    ok: attempts.some(
      attempt => attempt.with === 'vault' && attempt.outcome.address === address && attempt.outcome.ok,
    ),
  }))
}

/** Whether there is anything but advice. */
export const isAmiss = ({ findings }: Diagnosis): boolean =>
  findings.some(({ severity }) => severity !== 'notice')

/** Tells of the findings, the worst first, then of what is right and of what could not be seen. */
export function tellDiagnosis(report: Report, { findings, right, unseen, logins }: Diagnosis): void {
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

/** How many findings there are of each kind, for the line that sums up. */
export function sumUp({ findings, right, unseen }: Diagnosis): string {
  const number = (severity: string): number =>
    findings.filter(finding => finding.severity === severity).length
  const found = `${count(number('error'), 'error')}, ${count(number('warning'), 'warning')}, ${count(number('notice'), 'notice')}`
  const seen = `${right.length} checked and right`
  return `${found}; ${seen}${unseen.length > 0 ? `, ${unseen.length} not looked at` : ''}`
}
