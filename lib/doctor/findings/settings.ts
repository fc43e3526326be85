import type { Facts } from '../facts/gather.ts'
import { newerFiles, type Part, Parts, serverSelf } from './part.ts'

/** Seconds by which the clocks of two machines may differ, and nobody cares. */
const TOLERANCE = 30
/** Before this program was written no host can have run it. */
const WRITTEN = Date.parse('2026-01-01')

/** PostgreSQL's settings: loaded, in force, and such as they should be; its collations, and the clock. */
export function settingFindings(facts: Facts): Part {
  const part = new Parts()
  const self = serverSelf(facts)
  clock(facts, part, self?.now)
  if (!self) return part
  const before = part.findings.length
  const [error] = self.settingErrors
  if (error) {
    part.find({
      id: 'settings-invalid',
      severity: 'warning',
      subject: error.file ?? 'postgresql.conf',
      seen: `line ${error.line ?? '?'}: ${error.message}`,
      meaning: 'PostgreSQL loads nothing of the file, and does not start again with it',
      remedy: 'correct the line, then: systemctl reload postgresql',
    })
  }
  const newer = newerFiles(self, 'settings')
  if (newer.length > 0 && !error) {
    part.find({
      id: 'settings-not-loaded',
      severity: 'warning',
      subject: newer.join(', '),
      seen: 'it was changed after PostgreSQL has loaded it',
      meaning: 'PostgreSQL works with other settings than the file says, until its next start',
      remedy: 'systemctl reload postgresql',
      fix: 'reload',
    })
  }
  if (self.pendingRestart.length > 0) {
    part.find({
      id: 'restart-pending',
      severity: 'notice',
      subject: self.pendingRestart.join(', '),
      seen: 'it was changed, and needs a restart of PostgreSQL',
      meaning: 'PostgreSQL works with the value from before',
      remedy: 'systemctl restart postgresql, at a time when the API may be interrupted',
    })
  }
  for (const { database, stored, actual } of self.collations) {
    part.find({
      id: 'collation-version',
      severity: 'warning',
      subject: database,
      seen: `it was made with version ${stored} of its collation, and the system has ${actual ?? 'none'}`,
      meaning: 'indexes on text may miss rows; and no database can be made from template1 while it differs',
      remedy: `in ${database}: REINDEX DATABASE; ALTER DATABASE "${database}" REFRESH COLLATION VERSION`,
    })
  }
  part.goodUnless(
    before,
    'the settings of PostgreSQL are loaded, and its collations are of the right version',
  )
  if (!self.checksums) {
    part.find({
      id: 'checksums-off',
      severity: 'notice',
      subject: 'data_checksums',
      seen: 'data checksums are off',
      meaning: 'PostgreSQL does not notice when the disk changes data',
      remedy: 'while it is stopped: pg_checksums --enable -D DATA',
    })
  }
  return part
}

function clock({ now, synchronised }: Facts, part: Parts, serverNow: number | undefined): void {
  const host = now.getTime()
  const apart = serverNow === undefined ? 0 : Math.round(Math.abs(host / 1000 - serverNow))
  if (host < WRITTEN || apart > TOLERANCE) {
    part.find({
      id: 'clock-off',
      severity: 'warning',
      subject: 'clock',
      seen:
        apart > TOLERANCE
          ? `PostgreSQL's clock differs by ${apart} s`
          : `it says ${now.toISOString()}, which is long past`,
      meaning: 'passwords and certificates expire at the wrong time, and logs cannot be compared',
      remedy: 'set it (timedatectl set-ntp true), and look at the battery of the clock',
    })
  } else if (synchronised === false) {
    part.find({
      id: 'clock-unsynchronised',
      severity: 'notice',
      subject: 'clock',
      seen: 'the clock does not follow a time server',
      meaning: 'it will be off some day',
      remedy: 'timedatectl set-ntp true',
    })
  } else part.good('the clock is right')
}

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
