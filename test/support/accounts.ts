import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The accounts and groups of a clinic's host, as the tests want them. */
const ACCOUNTS = [
  { name: 'postgres', uid: 5400, group: 'postgres' },
  { name: 'admin', uid: 5401, group: 'admin' },
  { name: 'endoreg-service-user', uid: 400, group: 'endoreg-service' },
  { name: 'stranger', uid: 5402, group: 'stranger' },
  { name: 'endoreg-drill', uid: 5404, group: 'endoreg-drill' },
] as const
const GROUPS = [
  { name: 'postgres', gid: 5400, members: '' },
  { name: 'admin', gid: 5401, members: '' },
  { name: 'stranger', gid: 5402, members: '' },
  { name: 'endoreg-drill', gid: 5404, members: '' },
  { name: 'endoreg-service', gid: 101, members: '' },
  { name: 'sensitiveServices', gid: 5403, members: 'endoreg-service-user' },
] as const

/**
 * Writes copies of /etc/passwd, /etc/group and /etc/hosts into `folder`, with the accounts above and both
 * loopbacks for localhost. An entry this machine has already stays; an id that is taken is moved up.
 */
export function writeAccounts(folder: string): void {
  const passwd = readFileSync('/etc/passwd', 'utf8').trimEnd().split('\n')
  const group = readFileSync('/etc/group', 'utf8').trimEnd().split('\n')
  const has = (lines: string[], name: string): boolean => lines.some(line => line.startsWith(`${name}:`))
  const free = (lines: string[], wanted: number): number =>
    lines.some(line => line.split(':')[2] === String(wanted)) ? free(lines, wanted + 10_000) : wanted
  const gidOf = (name: string): string => group.find(line => line.startsWith(`${name}:`))?.split(':')[2] ?? ''
  for (const { name, gid, members } of GROUPS) {
    if (!has(group, name)) group.push(`${name}:x:${free(group, gid)}:${members}`)
  }
  for (const { name, uid, group: primary } of ACCOUNTS) {
    if (!has(passwd, name))
      passwd.push(`${name}:x:${free(passwd, uid)}:${gidOf(primary)}::/nonexistent:/bin/sh`)
  }
  writeFileSync(join(folder, 'passwd'), `${passwd.join('\n')}\n`)
  writeFileSync(join(folder, 'group'), `${group.join('\n')}\n`)
  writeFileSync(join(folder, 'hosts'), '127.0.0.1 localhost\n::1 localhost\n127.0.0.1 only4.test\n')
}
