import { doing } from '../../errors.ts'
import { appendLine } from '../../files/configuration-file.ts'
import { type Remedy, subjects } from './terms.ts'

const HOSTS = '/etc/hosts'

export const hosts: Remedy = {
  fix: 'hosts',
  does: findings => `give localhost its address in ${HOSTS}: ${subjects(findings)}`,
  apply: async ({ report }, findings) => {
    for (const { subject } of findings) {
      doing(`change ${HOSTS}`, () => appendLine.here(HOSTS, `${subject} localhost`))
      report.change({ resource: `file ${HOSTS}`, action: `add "${subject} localhost"` })
    }
  },
}
