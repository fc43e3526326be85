import { type Backup, lackedBy, REASONS } from './terms.ts'

/**
 * The backups to remove so that of each kind the newest `keep` stay: those that are made before a restore or reset
 * do not push out the regular ones, nor one that lacks a database those that have it. Of those that do, as many stay, where
 * they are newer than the oldest whole one that does. The newest of a kind always stays.
 *
 * @param backups complete ones only, the newest last: what is none is not counted, and never removed
 * @param keep at least 1
 */
export function superfluous(backups: readonly Backup[], keep: number): readonly Backup[] {
  const most = Math.max(1, keep)
  return REASONS.flatMap(kind => {
    const its = backups.filter(({ description }) => description.reason === kind)
    const [oldest, ...others] = its.filter(backup => lackedBy(backup).length === 0).slice(-most)
    const from = oldest ? its.indexOf(oldest) : 0
    const lacking = its.filter((backup, index) => index >= from && lackedBy(backup).length > 0).slice(-most)
    const stay = new Set([...(oldest ? [oldest] : []), ...others, ...lacking])
    return its.filter(backup => !stay.has(backup))
  })
}
