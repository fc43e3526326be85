import { Deadline } from '../frame/deadline.ts'
import { type Finding, SEVERITIES } from '../frame/finding.ts'
import { count, type Report } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import type { Check } from '../frame/terms.ts'
import { ifKnown, LIMIT } from './facts/fact.ts'
import { type Facts, gather } from './facts/gather.ts'
import { examineAccess, examineNames } from './findings/access.ts'
import { examineAccounts } from './findings/accounts.ts'
import { examineApplication } from './findings/application.ts'
import { settle } from './findings/consequences.ts'
import { examineDatabase } from './findings/database.ts'
import { type DoctorFinding, Examination } from './findings/examination.ts'
import { examineBackups, examineDisks, examineReset } from './findings/host.ts'
import { examinePasswords } from './findings/passwords.ts'
import { examineRoles } from './findings/roles.ts'
import { examineServer } from './findings/server.ts'
import { examineSettings, examineVersions } from './findings/settings.ts'
import { examineUnits } from './findings/units.ts'
import { examineVault } from './findings/vault.ts'

/** The families of causes, in the order in which a host needs them. */
const FAMILIES: readonly ((exam: Examination) => void)[] = [
  examineAccounts,
  examineVault,
  examineReset,
  examineServer,
  examineNames,
  examineAccess,
  examineRoles,
  examineDatabase,
  examinePasswords,
  examineApplication,
  examineUnits,
  examineDisks,
  examineBackups,
  examineSettings,
  examineVersions,
]

/** What is wrong with a host, and what is right. */
export type Diagnosis = Readonly<Pick<Examination, 'right' | 'unseen'>> & {
  readonly findings: readonly DoctorFinding[]
  /** The application's logins, as the other commands report them. */
  readonly logins: readonly Check[]
}

/** The diagnosis that follows from `facts`: the worst first, each cause once and with it what only follows. */
export function diagnose(facts: Facts): Diagnosis {
  const exams = FAMILIES.map(family => {
    const exam = new Examination(facts)
    family(exam)
    return exam
  })
  const findings = new Map<string, DoctorFinding>()
  for (const finding of exams.flatMap(exam => exam.findings)) {
    const key = `${finding.id} ${finding.subject}`
    if (!findings.has(key)) findings.set(key, finding)
  }
  const rank = ({ severity }: Finding): number => SEVERITIES.indexOf(severity)
  return {
    findings: settle([...findings.values()]).sort((one, other) => rank(one) - rank(other)),
    right: exams.flatMap(exam => exam.right),
    unseen: [
      ...exams.flatMap(exam => exam.unseen),
      ...[...facts.unheard, ...facts.words.unheard].map(({ what, why }) => `${what}: ${why}`),
    ],
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

/** Looks at the host; where that takes long, because something does not answer, says so. */
export async function lookAround({ settings, report, deadline }: Run): Promise<Facts> {
  const patience = new Deadline(LIMIT / 1000, deadline.clock)
  try {
    return await report.remind('this host', 'not everything has answered yet', patience, () =>
      gather(settings),
    )
  } finally {
    report.waited()
  }
}

/** Whether there is anything but advice. */
export const isAmiss = ({ findings }: Diagnosis): boolean =>
  findings.some(({ severity }) => severity !== 'notice')

/** Tells of what is right and of what could not be seen, and of the findings as checks. */
export function tellChecks(report: Report, { findings, right, unseen, logins }: Diagnosis): void {
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
  const counts = `${count(number('error'), 'error')}, ${count(number('warning'), 'warning')}, ${count(number('notice'), 'notice')}`
  const seen = `${right.length} checked and right`
  return `${counts}; ${seen}${unseen.length > 0 ? `, ${unseen.length} not looked at` : ''}`
}
