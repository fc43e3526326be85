import { count, type Report } from '../frame/report.ts'
import type { Concluded, Run } from '../frame/run.ts'
import { sentences } from '../frame/text.ts'
import { lookAtConfiguration } from './look.ts'
import type { Configuration, Mistake } from './terms.ts'
import { describe, masked, toDocument } from './text.ts'

/**
 * Shows the effective configuration of PostgreSQL, and changes nothing.
 *
 * @param secrets texts that are shown nowhere
 */
export async function showConfiguration(run: Run, secrets: readonly string[]): Promise<Concluded> {
  const { report } = run
  const { configuration, problem } = await lookAtConfiguration(run)
  const shown = masked(configuration, secrets)
  report.show({ text: width => describe(shown, width), keys: toDocument(shown) })
  if (problem) {
    report.warning(
      sentences(
        `PostgreSQL was not asked: ${problem.cause}`,
        'This is what its files say; what of it is the default is not known',
      ),
    )
  }
  warn(report, shown)
  return { summary: sumUp(shown), amiss: shown.mistakes.length > 0 }
}

/** What errors in each kind of file come to. */
const CONSEQUENCES: Readonly<Record<Mistake['in'], readonly [files: string, consequence: string]>> = {
  settings: ['the settings', 'PostgreSQL does not start again with that, and a reload does not load it'],
  rules: ['the access rules', 'PostgreSQL loads none of them, and does not start again with that'],
  maps: ['the identity maps', 'PostgreSQL loads none of them, and has none after its next start'],
}
const KINDS = ['settings', 'rules', 'maps'] as const

function warn(report: Report, { mistakes, newer, unseen, settings }: Configuration): void {
  for (const kind of KINDS) {
    const number = mistakes.filter(mistake => mistake.in === kind).length
    const [files, consequence] = CONSEQUENCES[kind]
    if (number > 0) report.warning(`${count(number, 'error')} in ${files}: ${consequence}`)
  }
  for (const path of newer) {
    report.warning(
      `${path} was changed after PostgreSQL has loaded it: until a reload something else is in force`,
    )
  }
  const waiting = settings.filter(({ afterRestart }) => afterRestart !== undefined).map(({ name }) => name)
  if (waiting.length > 0) report.note(`waiting for a restart of PostgreSQL: ${waiting.join(', ')}`)
  for (const what of unseen) report.note(`not looked at: ${what}`)
}

function sumUp({ source, settings, rules, maps, mistakes, unseen }: Configuration): string {
  const parts = [
    `${count(settings.length, 'setting')} ${source === 'server' ? 'other than the default' : 'in the files'}`,
    ...(rules ? [count(rules.length, 'access rule')] : []),
    ...(maps ? [`${count(maps.length, 'line')} of identity maps`] : []),
  ]
  const blind = unseen.length > 0 ? `, ${unseen.length} not looked at` : ''
  return `${parts.join(', ')}; ${count(mistakes.length, 'error')} in the files${blind}`
}
