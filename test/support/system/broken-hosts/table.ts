import type { Test } from 'tap'
import type { Finding } from '../../../../lib/frame/finding.ts'
import { worded } from '../../doctor/words.ts'
import type { Release } from '../base.ts'
import { askApi } from '../clinic.ts'
import type { Machine } from '../machine.ts'
import { familyRows } from './families.ts'
import { API, BOOT, places, type Row, SETUP, stopServer } from './row.ts'
import { unitRows } from './units.ts'

/** What a sound Debian may be told all the same. */
const ADVICE = new Set(['backup-none', 'checksums-off', 'clock-unsynchronised'])

/** What a command of the doctor says of a machine. */
type Said = {
  readonly code: number | null
  readonly err: string
  readonly findings: readonly Finding[]
}

/** Every booted host that is broken. */
export const brokenHosts = (release: Release): readonly Row[] => [
  ...familyRows(release).filter(({ units }) => units || release === 'bookworm'),
  ...unitRows(release),
]

/** A sound machine, on which one row after the other is tried. */
export class Patient {
  readonly #machine: Machine
  readonly #release: Release

  constructor(machine: Machine, release: Release) {
    this.#machine = machine
    this.#release = release
  }

  /** Keeps what the rows break, so that a row that fails leaves nothing to the next one. */
  async keep(): Promise<void> {
    await this.#machine.run(keep(this.#release))
    await this.#apiAnswers()
  }

  async ask(command: string): Promise<Said> {
    const { code, out, err } = await this.#machine.run(`${command} --json`, { check: false })
    const document: { findings?: Finding[] } = out === '' ? {} : JSON.parse(out)
    return { code, err, findings: worded(document.findings ?? []) }
  }

  /** What is found, what fix-postgres leaves, and that the next row has a sound host. */
  async row(t: Test, row: Row): Promise<void> {
    const { finds, leaves, says, restores } = row
    try {
      await this.#machine.run(row.breaks, { check: false })
      const found = await this.ask('debug-postgres')
      t.same(surprises(found, finds), [...finds].sort(), found.err)
      t.equal(found.code, codeFor(found), found.err)
      const first = found.findings.find(({ id }) => id === finds[0]?.split(' ')[0])
      t.equal(first?.fix, row.fix, 'what fix-postgres is said to do')
      if (says) t.match(first ? `${first.seen}\n${first.meaning}\n${first.remedy}` : found.err, says)
      const fixed = await this.ask('fix-postgres --yes')
      // What it has started may not have come to its end: that is waited for below.
      const left = surprises(fixed, leaves).filter(id => id !== 'unit-starting')
      t.same(left, [...leaves].sort(), `left: ${fixed.err}`)
      t.equal(fixed.code, codeFor(fixed), fixed.err)
      if (restores) await this.#machine.run(restores, { check: false })
      t.same(await this.#afterwards(restores !== undefined), [], 'sound again')
    } finally {
      if (!t.passing()) await this.#recover()
    }
  }

  /**
   * What is found when a row is done; where a person has mended it, after fix-postgres has started the units that had
   * failed. Of units that are starting the end is waited for.
   */
  async #afterwards(byHand: boolean): Promise<readonly string[]> {
    if (byHand) await this.ask('fix-postgres --yes')
    let found: readonly string[] = []
    await this.#machine.waitFor('the API answers, or something is wrong', async () => {
      found = surprises(await this.ask('debug-postgres')).filter(id => id !== 'unit-starting')
      if (found.length > 0 || (await askApi(this.#machine)) !== undefined) return true
      const { out } = await this.#machine.run(LOOK, { check: false })
      if (out === BROKEN) found = ['the API answers that it is broken']
      return out === BROKEN
    })
    return found
  }

  #apiAnswers(): Promise<void> {
    return this.#machine.waitFor('the API answers', async () => (await askApi(this.#machine)) !== undefined)
  }

  /** Brings back what was kept, where the host is not sound. */
  async #recover(): Promise<void> {
    if ((await this.#afterwards(false)).length === 0) return
    await this.#machine.run(recover(this.#release), { check: false })
    await this.#apiAnswers()
  }
}

/** What systemd is still at, and what the API answers: that alone, where no unit is about to be restarted. */
const LOOK = "systemctl list-jobs --no-legend; curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/"
const BROKEN = '500'

const KEPT = [
  ...['etc/hosts', 'etc/passwd', 'etc/shadow', 'etc/group', 'etc/gshadow', 'etc/systemd/system'],
  ...['etc/endoreg', 'etc/secrets', 'etc/postgresql', 'var/lib/postgresql', 'var/endoreg-service-user'],
  ...['usr/bin/systemctl', ...[SETUP, BOOT, API].map(unit => `usr/lib/systemd/system/${unit}`)],
].join(' ')
const UNITS = [SETUP, BOOT, API].join(' ')
const begin = (release: Release): string => `systemctl daemon-reload; systemctl reset-failed
systemctl start postgresql.service ${places(release).cluster}; systemctl start ${UNITS}`
const end = (release: Release): string => `systemctl stop ${UNITS}; ${stopServer(places(release))}`

/** All that the rows change, while nobody works with it. */
const keep = (release: Release): string => `${end(release)}
cp /usr/bin/systemctl /srv/systemctl; tar -C / -cpf /srv/sound.tar ${KEPT}
${begin(release)}`

const recover = (release: Release): string => `cp /srv/systemctl /usr/bin/systemctl
rm -rf /usr/bin/systemctl.kept /run/systemd/system/*.service.d; systemctl unmask postgresql.service ${UNITS}
${end(release)}
umount ${places(release).data}; for name in all lo; do echo 0 >/proc/sys/net/ipv6/conf/$name/disable_ipv6; done
cd / && rm -rf /srv/secrets /srv/kept root/secrets etc/secrets etc/postgresql/* var/lib/postgresql/* etc/systemd/system var/endoreg-service-user/endo-api
tar -C / -xpf /srv/sound.tar
${begin(release)}`

/** What was found beside the advice that a sound host gets, as a row writes it. */
export const surprises = ({ findings }: Pick<Said, 'findings'>, wanted: readonly string[] = []): string[] =>
  findings
    .filter(({ id }) => !ADVICE.has(id))
    .map(({ id, subject }) => (wanted.includes(`${id} ${subject}`) ? `${id} ${subject}` : id))
    .sort()

/** Only errors and warnings count. */
const codeFor = ({ findings }: Said): number =>
  findings.some(({ severity }) => severity !== 'notice') ? 1 : 0
