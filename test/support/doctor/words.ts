import { FINDINGS } from '../../../lib/doctor/findings/meanings.ts'
import { REMEDIES } from '../../../lib/doctor/remedies/all.ts'
import { type Finding, SEVERITIES } from '../../../lib/frame/finding.ts'

const includes = (list: readonly string[], item: string): boolean => list.includes(item)

/** What a value looks like that was put into a text without being one. */
const NO_TEXT = /\bundefined\b|\bNaN\b|\bInvalid Date\b|\[object |\bfunction\b.*=>/

/** How a remedy begins that says nothing to do. */
const NOTHING_TO_DO = /^(?:none|nothing|no|see above)[.\s]*$/i

/** What a finding lacks of what every finding has; nothing where it is as it should be. */
export function faultsOf({ id, severity, subject, seen, meaning, remedy, fix }: Finding): string[] {
  const texts = Object.entries({ subject, seen, meaning, remedy })
  return [
    ...(id in FINDINGS ? [] : ['its id is not in the list']),
    ...(includes(SEVERITIES, severity) ? [] : [`${severity} is no severity`]),
    ...texts.flatMap(([name, text]) => (text.trim() === '' ? [`${name} is empty`] : [])),
    ...texts.flatMap(([name, text]) => (NO_TEXT.test(text) ? [`${name} has no text in it: ${text}`] : [])),
    ...['seen', 'meaning', 'remedy'].flatMap(name => {
      const text = texts.find(([other]) => other === name)?.[1] ?? ''
      return /\p{L}{2,}\s+\p{L}|\p{L}-\p{L}/u.test(text) ? [] : [`${name} says too little: ${text}`]
    }),
    ...(NOTHING_TO_DO.test(remedy) ? ['its remedy says nothing to do'] : []),
    ...(seen === meaning || meaning === remedy || seen === remedy ? ['it says the same twice'] : []),
    ...(fix === undefined || REMEDIES.some(one => one.fix === fix) ? [] : [`nothing does the fix ${fix}`]),
  ].map(fault => `${id} (${subject}): ${fault}`)
}

/** The findings as they are; fails where one of them lacks what every finding has. */
export function worded(findings: readonly Finding[]): readonly Finding[] {
  const faults = findings.flatMap(faultsOf)
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return findings
}
