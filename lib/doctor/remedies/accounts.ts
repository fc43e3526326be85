import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { keepBefore } from '../../files/configuration-file.ts'
import { perform } from '../../programs.ts'
import type { Settings } from '../../settings.ts'
import { type Remedy, subjects } from './terms.ts'

/** The numbers of the NixOS hosts, for the names that ship; where one is taken, systemd-sysusers takes another. */
const NUMBERS: Readonly<Record<string, string>> = { 'endoreg-service': '101', 'endoreg-service-user': '400' }

const FILES = ['/etc/passwd', '/etc/group', '/etc/shadow', '/etc/gshadow']

/** What units/sysusers.d declares, with the names of the settings. */
function declarations({ serviceUser, serviceGroup, vaultOwner, vaultGroup, apiDir }: Settings): string[] {
  const number = (name: string): string => NUMBERS[name] ?? '-'
  return [
    `g ${serviceGroup} ${number(serviceGroup)}`,
    `u ${serviceUser} ${number(serviceUser)}:${serviceGroup} "EndoReg API" ${dirname(apiDir)}`,
    `g ${vaultGroup} -`,
    `m ${serviceUser} ${vaultGroup}`,
    `u ${vaultOwner} - "EndoReg administrator"`,
  ]
}

/** Makes what is missing; what is there stays as it is. */
export const accounts: Remedy = {
  fix: 'accounts',
  does: findings => `make accounts, groups and memberships: ${subjects(findings)}`,
  apply: async ({ report, settings }, findings) => {
    for (const file of FILES) if (existsSync(file)) keepBefore.here(file)
    await perform('systemd-sysusers', '--inline', ...declarations(settings))
    for (const { id, subject } of findings) {
      const [kind] = id.split('-')
      report.change(
        kind === 'membership'
          ? { resource: `account ${subject}`, action: `add to the group ${settings.vaultGroup}` }
          : { resource: `${kind} ${subject}`, action: 'create' },
      )
    }
  },
}
