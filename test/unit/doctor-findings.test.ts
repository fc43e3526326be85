import t from 'tap'
import { diagnose } from '../../lib/doctor/diagnose.ts'
import { FINDINGS, type FindingId, type Fix } from '../../lib/doctor/findings/meanings.ts'
import { REMEDIES } from '../../lib/doctor/remedies/all.ts'
import { describe } from '../../lib/frame/finding.ts'
import { ACCESS } from '../support/doctor/access-cases.ts'
import { APPLICATION, MAINTENANCE } from '../support/doctor/application-cases.ts'
import { BOUNDARIES } from '../support/doctor/boundary-cases.ts'
import { type Case, line } from '../support/doctor/cases.ts'
import { DATABASES } from '../support/doctor/database-cases.ts'
import { facts } from '../support/doctor/facts.ts'
import { LOGINS, NAMES } from '../support/doctor/login-cases.ts'
import { PASSWORDS, ROLES } from '../support/doctor/role-cases.ts'
import { SERVER, SETTINGS } from '../support/doctor/server-cases.ts'
import { UNITS } from '../support/doctor/unit-cases.ts'
import { ACCOUNTS, VAULTS } from '../support/doctor/vault-cases.ts'
import { faultsOf } from '../support/doctor/words.ts'

const FAMILIES: Readonly<Record<string, readonly Case[]>> = {
  'accounts and groups': ACCOUNTS,
  'the vault': VAULTS,
  'what is installed for the API': APPLICATION,
  'backups and resets': MAINTENANCE,
  'the server': SERVER,
  'settings, clock and disks': SETTINGS,
  'thresholds, on both sides': BOUNDARIES,
  units: UNITS,
  names: NAMES,
  'access rules': ACCESS,
  'logins that are refused': LOGINS,
  'roles and databases': ROLES,
  'what the API needs of its database': DATABASES,
  passwords: PASSWORDS,
}

t.test('on a host on which all is well nothing is found, and everything was looked at', async t => {
  const { findings, right, unseen, logins } = diagnose(facts())
  t.same(findings, [])
  t.same(unseen, [])
  t.same(logins, [
    { name: 'login endoregDbLocal ::1', ok: true },
    { name: 'login endoregDbLocal 127.0.0.1', ok: true },
  ])
  t.ok(right.length > 15, right.join('\n'))
  t.equal(new Set(right).size, right.length, 'each once')
})

const made = new Set<FindingId>()
const fixes = new Set<Fix>()

for (const [family, cases] of Object.entries(FAMILIES)) {
  t.test(family, async t => {
    for (const { name, told, finds, says, unseen } of cases) {
      const { findings, unseen: blind } = diagnose(facts(told))
      t.same(findings.map(line), finds, name)
      t.same(blind, unseen ?? [], `${name}: what could not be looked at`)
      t.same(findings.flatMap(faultsOf), [], `${name}: its words`)
      const text = findings.flatMap(describe).join('\n')
      if (says) t.match(text, says, `${name}: what it says`)
      for (const { id, fix } of findings) {
        made.add(id)
        if (fix) fixes.add(fix)
      }
    }
  })
}

t.test('there is a host for every finding, and a finding for every remedy', async t => {
  t.same([...made].sort(), Object.keys(FINDINGS).sort())
  t.same([...fixes].sort(), [...new Set(REMEDIES.map(({ fix }) => fix))].sort())
})
