import { newerFiles } from '../../server/look.ts'
import { ifKnown } from '../facts/fact.ts'
import type { ServerState } from '../facts/server.ts'
import { type Examination, onStandby, serverSelf } from './examination.ts'

/** Seconds by which the clocks of two machines may differ, and nobody cares. */
const TOLERANCE = 30
/** Before this program was written no host can have run it. */
const WRITTEN = Date.parse('2026-01-01')

/** PostgreSQL's settings: loaded, in force, and such as they should be; its collations, and the clock. */
export function examineSettings(exam: Examination): void {
  const self = serverSelf(exam.facts)
  clock(exam, self)
  if (!self) return
  const before = exam.findings.length
  files(exam, self)
  if (self.pendingRestart.length > 0) {
    const seen = 'it was changed, and needs a restart of PostgreSQL'
    exam.find('restart-pending', self.pendingRestart.join(', '), seen)
  }
  for (const { database, stored, actual } of self.collations) {
    const seen = `it was made with version ${stored} of its collation, and the system has ${actual ?? 'none'}`
    // What is stored is the primary's; what differs is this host's library.
    const remedy =
      "let this host have the primary's version of the library (ldd --version; ICU); where the primary says the same: mend it there"
    exam.find('collation-version', database, seen, onStandby(exam.facts, remedy))
  }
  if (exam.findings.length === before)
    exam.good('the settings of PostgreSQL are loaded, and its collations are of the right version')
  if (!self.checksums) exam.find('checksums-off', 'data_checksums', 'data checksums are off')
}

function files(exam: Examination, self: ServerState): void {
  const [error] = self.settingErrors
  const newer = newerFiles(self, 'settings')
  if (error) {
    const { file, line, message } = error
    exam.find('settings-invalid', file ?? 'postgresql.conf', `line ${line ?? '?'}: ${message}`)
  } else if (newer.length > 0)
    exam.find('settings-not-loaded', newer.join(', '), 'it was changed after PostgreSQL has loaded it')
}

function clock(exam: Examination, self: ServerState | undefined): void {
  const { now, synchronised } = exam.facts
  const [from, to] = self?.asked ?? [0, 0]
  const apart = self ? Math.round(Math.max(0, from - self.now, self.now - to)) : 0
  if (apart > TOLERANCE) exam.find('clock-off', 'clock', `PostgreSQL's clock differs by ${apart} s`)
  else if (now.getTime() < WRITTEN)
    exam.find('clock-off', 'clock', `it says ${now.toISOString()}, which is long past`)
  else if (!synchronised.known) exam.blind('whether the clock follows a time server', synchronised)
  else if (synchronised.value === false)
    exam.find('clock-unsynchronised', 'clock', 'the clock does not follow a time server')
  else exam.good('the clock is right')
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
const OLDEST = 15
const NEWEST = 18

const OLDER = 'an older pg_dump refuses to back up a newer server, and an older psql does not know all of it'

/** Versions: the server's, and those of the programs that are used with it. */
export function examineVersions(exam: Examination): void {
  const { server, tools, lacking, nixos, now } = exam.facts
  if (server.state !== 'up') return
  const { major } = server
  const running = serverSelf(exam.facts)?.version ?? String(major)
  const end = END_OF_LIFE[major]
  if (major < OLDEST || major > NEWEST) {
    const seen = `PostgreSQL ${running} is none of the versions ${OLDEST} to ${NEWEST} that this program is tested with`
    const newer = { remedy: 'look for a newer endoreg-provision' }
    exam.find('server-unsupported', running, seen, major > NEWEST ? newer : {})
  }
  if (end !== undefined && now.getTime() > Date.parse(`${end}T23:59:59Z`))
    exam.find('server-end-of-life', running, `PostgreSQL ${major} gets no corrections since ${end}`)
  for (const { name, why, hint: remedy } of lacking) {
    if (name === 'psql')
      exam.find('tool-missing', name, why, {
        severity: 'notice',
        meaning: 'nobody can look into the databases by hand',
        remedy,
      })
    // There the units have a PATH of their own, which is not that of who looks.
    else if (!nixos) exam.find('tool-missing', name, why, { remedy })
  }
  for (const [name, tool] of Object.entries(tools)) {
    if (lacking.some(one => one.name === name)) continue
    if (!tool.known) exam.blind(`the version of ${name}`, tool)
    const version = ifKnown(tool)
    if (version === undefined || version === major) continue
    const older = version < major
    exam.find('tool-version', name, `${name} is of version ${version}, the server of version ${major}`, {
      ...(older && name === 'pg_dump' ? { severity: 'warning' } : {}),
      ...(older ? { meaning: OLDER } : {}),
      remedy: `put the programs of version ${major} on the PATH`,
    })
  }
  if (exam.findings.length === 0)
    exam.good(`PostgreSQL ${running} is supported, and its programs are of its version`)
}
