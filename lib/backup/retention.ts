import type { Backup, Reason } from './terms.ts'

/**
 * The backups to remove so that of each kind the newest `keep` stay: those that are made before a restore or reset
 * do not push out the regular ones. The newest of a kind always stays.
 *
 * @param backups complete ones only: what is none is not counted, and never removed
 * @param keep at least 1
 */
export function superfluous(backups: readonly Backup[], keep: number): readonly Backup[] {
  const kinds = new Map<Reason, Backup[]>()
  for (const backup of [...backups].sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const kind = kinds.get(backup.description.reason) ?? []
    kinds.set(backup.description.reason, [...kind, backup])
  }
  return [...kinds.values()].flatMap(kind => kind.slice(0, -Math.max(1, keep)))
}
