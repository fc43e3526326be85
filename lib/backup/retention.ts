import type { Backup, Reason } from './terms.ts'

/**
 * The backups to remove so that of each kind the newest `keep` stay: those that are made before a restore or reset
 * do not push out the regular ones. The newest of a kind always stays.
 *
 * @param backups complete ones only: what is none is not counted, and never removed
 * @param keep at least 1
 * @param made the name of the one that this run made: it is the newest of its kind, also where the clock was set back
 */
export function superfluous(backups: readonly Backup[], keep: number, made?: string): readonly Backup[] {
  const kinds = new Map<Reason, Backup[]>()
  const older = (one: Backup, other: Backup): boolean =>
    other.name === made || (one.name !== made && one.name < other.name)
  for (const backup of [...backups].sort((one, other) => (older(one, other) ? -1 : 1))) {
    const kind = kinds.get(backup.description.reason) ?? []
    kinds.set(backup.description.reason, [...kind, backup])
  }
  return [...kinds.values()].flatMap(kind => kind.slice(0, -Math.max(1, keep)))
}
