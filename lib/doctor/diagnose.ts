import { type Finding, SEVERITIES } from '../frame/finding.ts'
import type { Check } from '../frame/terms.ts'
import type { Facts } from './facts/gather.ts'
import { accessFindings, nameFindings } from './findings/access.ts'
import { accountFindings, passwordFindings } from './findings/accounts.ts'
import { applicationFindings } from './findings/application.ts'
import { backupFindings, diskFindings, resetFindings } from './findings/host.ts'
import { fixable, type Part } from './findings/part.ts'
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
  const addresses = names.resolved.known ? names.resolved.value : []
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
