import type { Facts } from '../facts/gather.ts'
import { able, type Part, Parts } from './part.ts'
import { newerFiles, serverSelf } from './server-views.ts'

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
      ...able(facts, 'reload'),
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
