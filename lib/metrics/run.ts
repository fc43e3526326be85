import { createHash } from 'node:crypto'
import type { Command, Run } from '../command.ts'
import type { Severity } from '../doctor/terms.ts'
import { ExitCode } from '../errors.ts'
import type { Report } from '../report.ts'
import { leave, leaveAtOnce } from './leave.ts'
import { type Sample, timestamp, toText } from './text.ts'
import type { Family, Leaving, MetricsFile } from './write.ts'

/**
 * Leaves how a run went, in files that no run reads again:
 *
 * - `endoreg_COMMAND.prom`: the last run
 * - `endoreg_COMMAND_success.prom`: the last that did not fail, which a failure so does not take away
 * - `endoreg_COMMAND_drift.prom`: what check mode found, until a run has made it
 * - `endoreg_login_ROLE@ADDRESS.prom`: the last proved login
 *
 * Runs of another mode than "run" have it in the names of the first two, and in the label `mode`: a look in check mode,
 * or a drill that went well, is not to hide that the last real run failed.
 */
export class RunMetrics {
  readonly #command: Command
  readonly #run: Run
  readonly #mode: string

  constructor(command: Command, run: Run) {
    this.#command = command
    this.#run = run
    const kind = command.kinds?.find(option => run.flags.has(option) || run.values.has(option))
    this.#mode = [kind, run.check ? 'check' : undefined].filter(Boolean).join('-') || 'run'
  }

  /** The run ends with the exit code `code`. */
  end(code: number): Promise<void> {
    return leave(this.#run, this.#leaving(code))
  }

  /** The run is ended now, by a signal or a bug. */
  interrupted(code: number): void {
    leaveAtOnce(this.#run, this.#leaving(code))
  }

  #leaving(code: number): Leaving {
    const { report } = this.#run
    const labels = { command: report.command, mode: this.#mode }
    const now = timestamp()
    const succeeded = code === ExitCode.done || code === ExitCode.drift
    const result: Sample[] = [
      { name: 'endoreg_last_run_timestamp_seconds', labels, value: now },
      { name: 'endoreg_last_run_duration_seconds', labels, value: Math.round(performance.now()) / 1000 },
      { name: 'endoreg_last_run_exit_code', labels, value: code },
      { name: 'endoreg_last_run_success', labels, value: Number(succeeded) },
      { name: 'endoreg_last_run_changes', labels, value: report.changes.length },
      ...findings(report),
    ]
    const success: Sample = { name: 'endoreg_last_success_timestamp_seconds', labels, value: now }
    const name = `endoreg_${report.command}${this.#mode === 'run' ? '' : `_${this.#mode}`}`
    const logins = provedLogins(this.#run, now)
    return {
      files: [
        { name: `${name}.prom`, text: toText(result) },
        ...(succeeded ? [{ name: `${name}_success.prom`, text: toText([success]) }] : []),
        ...this.#drift(code),
        ...logins.files,
      ],
      families: logins.families,
    }
  }

  /** What is still to be changed, where this run can tell. */
  #drift(code: number): MetricsFile[] {
    const { command, changes } = this.#run.report
    const made = this.#mode === 'run' && code === ExitCode.done && !this.#command.onlyLooks
    const found = this.#mode === 'check' && (code === ExitCode.done || code === ExitCode.drift)
    if (!made && !found) return []
    const value = found ? changes.length : 0
    const text = toText([{ name: 'endoreg_drift_changes', labels: { command }, value }])
    return [{ name: `endoreg_${command}_drift.prom`, text }]
  }
}

/** The logins that were proved. Those at addresses which the application has no more would grow old for ever. */
function provedLogins(
  { settings, report }: Run,
  now: number,
): { readonly files: readonly MetricsFile[]; readonly families: readonly Family[] } {
  const start = `login ${settings.dbUser} `
  const tried = report.checks.filter(({ name }) => name.startsWith(start))
  if (tried.length === 0) return { files: [], families: [] }
  const all = tried.map(({ name, ok }) => {
    const labels = { role: settings.dbUser, address: name.slice(start.length) }
    const sample: Sample = { name: 'endoreg_last_login_timestamp_seconds', labels, value: now }
    return { ok, file: { name: loginFile(labels), text: toText([sample]) } }
  })
  return {
    files: all.filter(({ ok }) => ok).map(({ file }) => file),
    families: [{ prefix: LOGIN, keep: all.map(({ file }) => file.name) }],
  }
}

const LOGIN = 'endoreg_login_'

/** A role may have any character in its name, and a file may not: then a digest stands for both. */
function loginFile({ role, address }: { role: string; address: string }): string {
  const plain = `${role}@${address}`
  const safe = /^[\w.-]{1,63}@[\w.:-]{1,60}$/.test(plain)
  return `${LOGIN}${safe ? plain : createHash('sha256').update(plain).digest('hex').slice(0, 32)}.prom`
}

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'notice']

/** How many findings of each severity; nothing for a command that has made no diagnosis. */
function findings({ command, findings: found }: Report): Sample[] {
  if (!found) return []
  return SEVERITIES.map(severity => ({
    name: 'endoreg_findings',
    labels: { command, severity },
    value: found.filter(finding => finding.severity === severity).length,
  }))
}
