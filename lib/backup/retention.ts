import { type Backup, lackedBy } from './terms.ts'

/**
 * The backups to remove so that of each kind the newest `keep` stay: those that are made before a restore or reset
 * do not push out the regular ones, nor one that lacks a database those that have it. The newest of a kind always stays.
 *
 * @param backups complete ones only, the newest last: what is none is not counted, and never removed
 * @param keep at least 1
 */
export function superfluous(backups: readonly Backup[], keep: number): readonly Backup[] {
  const kinds = new Map<string, Backup[]>()
  for (const backup of backups) {
    const kind = `${backup.description.reason} ${lackedBy(backup).length > 0 ? 'lacking' : ''}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), backup])
  }
  return [...kinds.values()].flatMap(kind => kind.slice(0, -Math.max(1, keep)))
}
