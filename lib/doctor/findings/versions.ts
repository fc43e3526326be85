import type { Facts } from '../facts/gather.ts'
import type { Part } from './part.ts'
import { Parts } from './part.ts'
import { serverSelf } from './server-views.ts'

/** The last day on which a major version gets corrections (https://www.postgresql.org/support/versioning/). */
const END_OF_LIFE: Readonly<Record<number, string>> = {
  13: '2025-11-13',
  14: '2026-11-12',
  15: '2027-11-11',
  16: '2028-11-09',
  17: '2029-11-08',
  18: '2030-11-14',
}
const OLDEST = 14
const NEWEST = 18

/** Versions: the server's, and those of the programs that are used with it. */
export function versionFindings(facts: Facts): Part {
  const part = new Parts()
  const { server, tools, now } = facts
  if (server.state !== 'up') return part
  const { major } = server
  const version = serverSelf(facts)?.version ?? String(major)
  const end = END_OF_LIFE[major]
  if (major < OLDEST || major > NEWEST) {
    part.find({
      id: 'server-unsupported',
      severity: 'notice',
      subject: version,
      seen: `PostgreSQL ${version} is none of the versions ${OLDEST} to ${NEWEST} that this program is tested with`,
      meaning: 'it may work as it should, and nobody has tried',
      remedy:
        major > NEWEST
          ? 'look for a newer endoreg-provision'
          : 'plan the move to a newer version (pg_upgrade)',
    })
  }
  if (end !== undefined && now.getTime() > Date.parse(`${end}T23:59:59Z`)) {
    part.find({
      id: 'server-end-of-life',
      severity: 'warning',
      subject: version,
      seen: `PostgreSQL ${major} gets no corrections since ${end}`,
      meaning: 'known security holes stay open',
      remedy: 'plan the move to a newer version (pg_upgrade)',
    })
  }
  for (const [name, found] of Object.entries(tools)) {
    if (found === undefined || found === major) continue
    const older = found < major
    part.find({
      id: 'tool-version',
      severity: older && name === 'pg_dump' ? 'warning' : 'notice',
      subject: name,
      seen: `${name} is of version ${found}, the server of version ${major}`,
      meaning: older
        ? 'an older pg_dump refuses to back up a newer server, and an older psql does not know all of it'
        : 'a dump by a newer program need not load into this server',
      remedy: `put the programs of version ${major} on the PATH`,
    })
  }
  if (part.findings.length === 0)
    part.good(`PostgreSQL ${version} is supported, and its programs are of its version`)
  return part
}
